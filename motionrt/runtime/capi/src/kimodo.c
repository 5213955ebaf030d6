/* Kimodo: two-stage motion diffusion, with everything that it can be asked for. */
#include <stdlib.h>
#include <string.h>

#include "chaining.h"
#include "correction.h"
#include "expansion.h"
#include "guidance.h"
#include "noise.h"
#include "pipeline.h"
#include "prompt.h"
#include "schedule.h"
#include "text.h"

#define DEFAULT_TRANSITION_FRAMES 5
#define MAX_ROWS (1 << 16)

typedef struct kimodo {
  int32_t num_base_steps, num_steps, text_width, most_tokens;
  const char *solver;
  guidance guidance;
  motion_features features;
  text_sources *text;
  ort_session *step, *decoder; /* loaded at first use */
} kimodo;

/* One request, its options settled. */
typedef struct generation {
  call *c;
  mrt_pipeline *pipeline;
  kimodo *model;
  const motion_features *features;
  const request *request;
  uint32_t seed;
  noise noise;
  int32_t num_steps;
  guidance guidance;
  double guided_from, guided_to; /* of the base steps, 0 to 1 */
  transitions transitions;
  const char *solver;
  const compat *compat;
  bool correct;
  double root_margin;
} generation;

/* ---- The model ---- */

static void *kimodo_open(call *c, mrt_pipeline *p) {
  kimodo *m = TAKE(c, &p->keep, kimodo, 1);
  const bundle *b = &p->bundle;
  const mrt_skeleton *s = b->skeleton;
  named_bytes statistics;
  m->num_base_steps = need_count(c, b, b->sampler, "num_base_steps");
  m->num_steps = need_count(c, b, b->sampler, "num_steps");
  m->text_width = need_count(c, b, b->sampler, "text_width");
  m->most_tokens = need_count(c, b, b->sampler, "num_text_tokens");
  m->solver = need_text(c, &p->keep, b, b->sampler, "solver");
  if (m->num_base_steps > 100000 || m->num_steps > m->num_base_steps || m->text_width > 1 << 20 ||
      m->most_tokens > 1 << 16)
    fail(c, MRT_BAD_BUNDLE, "%s: its sampler section makes no sense", b->place);
  m->guidance = guidance_read(c, b);
  if (s->hips.count != 2 || s->left_foot.count < 2 || s->right_foot.count < 2)
    fail(c, MRT_BAD_BUNDLE, "%s: skeleton %s does not name its hips and feet", b->place, s->name);
  if (s->expands_to && (!find_expansion(s->expands_to) ||
                        find_expansion(s->expands_to)->num_small != s->num_joints))
    fail(c, MRT_BAD_BUNDLE, "%s: skeleton %s expands to %s, which this library does not know",
         b->place, s->name, s->expands_to);
  m->features = features_make(s, b->fps, 0);
  if (bundle_axis(b, "step", "x", 2) != m->features.width)
    fail(c, MRT_BAD_BUNDLE, "%s: its step graph does not take %d features a frame", b->place,
         m->features.width);
  statistics = bundle_read(c, &c->memory, b, "statistics.safetensors");
  features_read(c, &p->keep, b, statistics, &m->features);
  m->text = text_open(c, &p->keep, b, &p->session, clean_prompt);
  return m;
}

static ort_session *graph(call *c, mrt_pipeline *p, ort_session **kept, const char *name) {
  if (!*kept) *kept = bundle_session(c, &p->keep, &p->bundle, name, &p->session);
  return *kept;
}

/* The schedules and guidance of presets: as upstream, or nearer to a run of all base steps. */
static const struct {
  const char *name, *solver;
  int32_t num_steps;
  double guided_from;
} presets[] = {
    {"fast", "dpmpp-2m", 12, 0.1}, {"balanced", "dpmpp-2m", 20, 0}, {"exact", "ddim", 100, 0}};

static void settle(generation *g) {
  const request *r = g->request;
  const kimodo *m = g->model;
  size_t i;
  if (!isnan(r->temperature) || r->text_template)
    fail(g->c, MRT_BAD_INPUT, "kimodo has no option %s",
         r->text_template ? "text_template" : "temperature");
  g->num_steps = r->num_steps;
  g->solver = r->solver;
  g->guided_from = isnan(r->guided_from) ? 0 : r->guided_from;
  g->guided_to = isnan(r->guided_from) ? 1 : r->guided_to;
  if (r->preset) {
    for (i = 0; i < 3 && strcmp(presets[i].name, r->preset); i++) continue;
    if (i == 3)
      fail(g->c, MRT_BAD_INPUT, "preset \"%s\": kimodo has fast, balanced, exact", r->preset);
    if (!g->num_steps) g->num_steps = presets[i].num_steps;
    if (!g->solver) g->solver = presets[i].solver;
    if (isnan(r->guided_from)) g->guided_from = presets[i].guided_from;
  }
  if (!g->num_steps) g->num_steps = m->num_steps;
  if (!g->solver) g->solver = m->solver;
  g->guidance = guidance_settle(r, m->guidance);
  g->compat = r->compat;
  g->correct = r->postprocess < 0 ? g->features->skeleton->corrected : r->postprocess != 0;
  g->root_margin = r->root_margin < 0 ? DEFAULT_ROOT_MARGIN_M : r->root_margin;
  g->transitions.compat = g->compat;
  g->transitions.num_frames =
      r->num_transition_frames ? r->num_transition_frames : DEFAULT_TRANSITION_FRAMES;
  g->transitions.longest = r->no_chain ? 0 : g->pipeline->bundle.advised_frames;
  g->transitions.included = g->pipeline->bundle.transitions_included;
}

/* ---- Sampling ---- */

/* What one run of the step graph takes, of B rows and T frames. */
typedef struct sampling {
  int32_t batch, num_frames;
  float *x;               /* (B, T, D): noise first, normalised features at last */
  tokens text;
  const int32_t *lengths; /* (B) */
  float *headings;        /* (B) */
  float *observed, *mask; /* (B, T, D), observed normalised; NULL: nothing is constrained */
} sampling;

/* The guidance of a step: none beyond the guided base steps. */
static guidance guided(const generation *g, int64_t timestep) {
  double base = g->model->num_base_steps;
  guidance made = g->guidance;
  if (timestep < g->guided_from * base || timestep > g->guided_to * base) made.num_weights = 0;
  return made;
}

static void denoise(generation *g, sampling *s) {
  call *c = g->c;
  int32_t width = g->features->width, step, b, t;
  size_t cells = (size_t)s->batch * s->num_frames * width, i;
  schedule plan = cosine_schedule(c, &c->memory, g->model->num_base_steps, g->num_steps, g->solver);
  float *x = s->x, *x0 = TEMP(c, float, cells), *nothing = NULL;
  arena *last = NULL; /* what the step before gave: the next one reads it in place */
  bool *frame_mask = TEMP(c, bool, (size_t)s->batch * s->num_frames);
  bool has_text = false, constrained = false;
  ort_session *session;
  for (i = 0; i < (size_t)s->batch * s->text.count; i++) has_text |= s->text.mask[i];
  for (b = 0; b < s->batch; b++) {
    for (t = 0; t < s->lengths[b]; t++) frame_mask[(size_t)b * s->num_frames + t] = true;
  }
  for (i = 0; s->mask && i < cells && !constrained; i++) constrained = s->mask[i] != 0;
  if (!constrained) nothing = TEMP(c, float, cells);
  session = graph(c, g->pipeline, &g->model->step, "step");
  for (step = 0; step < plan.num_steps; step++) {
    int64_t B = s->batch, T = s->num_frames, L = s->text.count, W = g->model->text_width;
    guidance guiding = guided(g, plan.timesteps[step]);
    branches branch = guidance_branches(&guiding, has_text, constrained);
    arena *results = TEMP(c, arena, 1);
    tensor inputs[] = {
        {"x", TENSOR_FLOAT, 3, {B, T, width}, x},
        {"x0_previous", TENSOR_FLOAT, 3, {B, T, width}, x0},
        {"timestep", TENSOR_INT64, 1, {1}, plan.timesteps + step},
        {"coefficients", TENSOR_FLOAT, 1, {3}, plan.coefficients + 3 * step},
        {"text_features", TENSOR_FLOAT, 3, {B, L, W}, s->text.values},
        {"text_mask", TENSOR_BOOL, 2, {B, L}, s->text.mask},
        {"frame_mask", TENSOR_BOOL, 2, {B, T}, frame_mask},
        {"first_heading_rad", TENSOR_FLOAT, 1, {B}, s->headings},
        {"motion_mask", TENSOR_FLOAT, 3, {B, T, width}, constrained ? s->mask : nothing},
        {"observed_motion", TENSOR_FLOAT, 3, {B, T, width}, constrained ? s->observed : nothing},
        {"branch_text", TENSOR_FLOAT, 1, {branch.count}, branch.text},
        {"branch_constraints", TENSOR_FLOAT, 1, {branch.count}, branch.held},
        {"branch_weights", TENSOR_FLOAT, 1, {branch.count}, branch.weights},
    };
    tensor outputs[] = {{.name = "x_next"}, {.name = "x0"}};
    arena_defer(c, &c->memory, arena_release, results);
    report(c, g->request, "denoising", step, plan.num_steps);
    session_run(c, results, session, inputs, sizeof inputs / sizeof *inputs, outputs, 2);
    if (tensor_count(&outputs[0]) != cells || tensor_count(&outputs[1]) != cells ||
        outputs[0].type != TENSOR_FLOAT || outputs[1].type != TENSOR_FLOAT)
      fail(c, MRT_BAD_BUNDLE, "%s: its step graph gives another shape than it takes",
           g->pipeline->bundle.place);
    x = outputs[0].data;
    x0 = outputs[1].data;
    if (last) arena_free(last);
    last = results;
  }
  memcpy(s->x, x, cells * sizeof(float));
  if (last) arena_free(last);
  report(c, g->request, "denoising", plan.num_steps, plan.num_steps);
}

static void copy_tokens(const generation *g, const tokens *from, int32_t source, tokens *to,
                        int32_t row) {
  size_t L = (size_t)from->count, W = (size_t)g->model->text_width;
  memcpy(to->values + row * L * W, from->values + source * L * W, L * W * sizeof(float));
  memcpy(to->mask + row * L, from->mask + source * L, L * sizeof(bool));
}

/* The embeddings of a request's prompts. */
static tokens embed_prompts(generation *g) {
  const request *r = g->request;
  const kimodo *m = g->model;
  report(g->c, r, "encoding text", 0, 1);
  /* The largest graph is loaded first: the text encoder fits into memory that this leaves free. */
  graph(g->c, g->pipeline, &g->model->step, "step");
  return r->embeddings ? tokens_given(g->c, r->embeddings, r->embedding_mask, r->num_prompts,
                                      r->num_tokens, m->text_width, m->most_tokens)
                       : tokens_of(g->c, m->text, r->prompts, r->num_prompts, m->text_width,
                                   m->most_tokens);
}

/* ---- From features to motions ---- */

/* What the decoder gives for a batch. */
typedef struct decoded_batch {
  tensor local, root, smooth, contacts, heading, native;
  bool has_native;
} decoded_batch;

static void decode(generation *g, float *features, int32_t batch, int32_t num_frames,
                   decoded_batch *d) {
  static const char *const names[] = {"local_rot_mats",  "root_positions", "smooth_root_pos",
                                      "foot_contacts",   "global_root_heading",
                                      "native_local_rot_mats"};
  call *c = g->c;
  const bundle *b = &g->pipeline->bundle;
  int32_t joints = b->output_skeleton->num_joints, native = b->skeleton->num_joints;
  size_t frames = (size_t)batch * num_frames;
  tensor input = {
      "features", TENSOR_FLOAT, 3, {batch, num_frames, g->features->width}, features};
  tensor outputs[6] = {{0}};
  size_t sizes[6] = {9 * (size_t)joints, 3, 3, 4, 2, 9 * (size_t)native};
  int i, count;
  d->has_native = bundle_axis(b, "decoder", names[5], 2) == native;
  count = d->has_native ? 6 : 5;
  for (i = 0; i < count; i++) outputs[i].name = names[i];
  session_run(c, &c->memory, graph(c, g->pipeline, &g->model->decoder, "decoder"), &input, 1,
              outputs, (size_t)count);
  for (i = 0; i < count; i++)
    if (tensor_count(&outputs[i]) != frames * sizes[i] ||
        outputs[i].type != (i == 3 ? TENSOR_BOOL : TENSOR_FLOAT))
      fail(c, MRT_BAD_BUNDLE, "%s: its decoder gives %s of another shape", b->place, names[i]);
  d->local = outputs[0];
  d->root = outputs[1];
  d->smooth = outputs[2];
  d->contacts = outputs[3];
  d->heading = outputs[4];
  d->native = d->has_native ? outputs[5] : outputs[0];
  if (!d->has_native && joints != native)
    fail(c, MRT_BAD_BUNDLE, "%s: its decoder does not give native_local_rot_mats", b->place);
}

/* Put rotations of the smaller skeleton on the larger one, hands relaxed. */
static mat3 *expanded(call *c, const mrt_skeleton *small, const mat3 *local, int32_t num_frames) {
  const expansion *e = find_expansion(small->expands_to);
  mat3 *result = TEMP(c, mat3, (size_t)num_frames * e->num_joints);
  int32_t t, j;
  for (t = 0; t < num_frames; t++) {
    mat3 *row = result + (size_t)t * e->num_joints;
    for (j = 0; j < e->num_joints; j++) row[j] = mat_load(e->relaxed + 9 * j);
    for (j = 0; j < e->num_small; j++)
      row[e->indices[j]] = local[(size_t)t * e->num_small + j];
  }
  return result;
}

static void check_finite(call *c, const bundle *b, const mat3 *local, const vec3 *root,
                         int32_t num_frames, int32_t num_joints) {
  int32_t t, j;
  for (t = 0; t < num_frames; t++) {
    bool finite = isfinite(root[t].x) && isfinite(root[t].y) && isfinite(root[t].z);
    for (j = 0; j < num_joints && finite; j++)
      finite = isfinite(local[(size_t)t * num_joints + j].m[0][0]);
    if (!finite)
      fail(c, MRT_BAD_INPUT, "%s: the model gave numbers that are not finite at frame %d", b->place,
           t);
  }
}

/* Make one motion of row `row` of a decoded batch, its first `length` frames, behind those of
 * `before` (a motion to continue, or NULL, of which `kept` frames count). */
static void finish(generation *g, mrt_motions *list, int32_t index, const decoded_batch *d,
                   const float *features, int32_t num_frames, int32_t row, int32_t length,
                   constraints held, bool corrected, const mrt_motion *before, int32_t kept) {
  call *c = g->c;
  const bundle *b = &g->pipeline->bundle;
  const mrt_skeleton *native = b->skeleton, *skeleton = b->output_skeleton;
  int32_t width = g->features->width, t, k, joints = skeleton->num_joints;
  size_t first = (size_t)row * num_frames;
  bool correct = g->correct && !corrected;
  const tensor *source = correct ? &d->native : &d->local;
  int32_t source_joints = correct ? native->num_joints : joints;
  size_t count = (size_t)length * source_joints, i;
  mat3 *local = TEMP(c, mat3, count);
  vec3 *root = TEMP(c, vec3, (size_t)kept + length);
  const bool *contacts = (const bool *)d->contacts.data + 4 * first;
  int num_contacts = g->compat->toe_end_contacts && native->expands_to ? 6 : 4;
  mrt_motion *m;
  for (i = 0; i < count; i++)
    local[i] = mat_load((const float *)source->data + 9 * (first * source_joints + i));
  for (t = 0; t < length; t++)
    root[kept + t] = vec_load((const float *)d->root.data + 3 * (first + t));
  check_finite(c, b, local, root + kept, length, source_joints);
  if (correct) {
    correction_targets targets = constraints_targets(c, held, native, length, g->compat);
    report(c, g->request, "cleaning up", index, list->count);
    correct_motion(c, native, local, root + kept, contacts, length, &targets, g->root_margin);
    if (native->expands_to && joints != native->num_joints)
      local = expanded(c, native, local, length);
  }
  if (kept) {
    mat3 *whole = TEMP(c, mat3, (size_t)(kept + length) * joints);
    for (i = 0; i < (size_t)kept * joints; i++) whole[i] = mat_load(before->local_mats + 9 * i);
    for (t = 0; t < kept; t++) root[t] = vec_load(before->root_positions + 3 * t);
    memcpy(whole + (size_t)kept * joints, local, (size_t)length * joints * sizeof *whole);
    local = whole;
  }
  m = motions_add(c, list, index, skeleton, kept + length, b->fps);
  motion_pose(c, m, local, root);
  m->seed = g->seed;
  if (!kept || before->foot_contacts) {
    m->num_contacts = num_contacts;
    m->foot_contacts = TAKE(c, &m->keep, uint8_t, (size_t)(kept + length) * num_contacts);
  }
  if (!kept || before->smooth_root)
    m->smooth_root = TAKE(c, &m->keep, float, 3 * (size_t)(kept + length));
  if (!kept || before->heading)
    m->heading = TAKE(c, &m->keep, float, 2 * (size_t)(kept + length));
  if (kept && m->smooth_root)
    memcpy(m->smooth_root, before->smooth_root, 3 * (size_t)kept * sizeof(float));
  if (kept && m->heading) memcpy(m->heading, before->heading, 2 * (size_t)kept * sizeof(float));
  for (t = 0; t < kept + length && m->foot_contacts; t++) {
    static const int four_to_six[] = {0, 1, 1, 2, 3, 3}, six_to_four[] = {0, 1, 3, 4};
    for (k = 0; k < num_contacts; k++) {
      bool value;
      if (t < kept) {
        int had = before->num_contacts;
        const uint8_t *old = before->foot_contacts + (size_t)t * had;
        value = had == num_contacts ? old[k] : had == 4 ? old[four_to_six[k]] : old[six_to_four[k]];
      } else {
        value = contacts[4 * (t - kept) + (num_contacts == 6 ? four_to_six[k] : k)];
      }
      m->foot_contacts[(size_t)t * num_contacts + k] = value;
    }
  }
  if (m->smooth_root)
    memcpy(m->smooth_root + 3 * (size_t)kept, (const float *)d->smooth.data + 3 * first,
           3 * (size_t)length * sizeof(float));
  if (m->heading)
    memcpy(m->heading + 2 * (size_t)kept, (const float *)d->heading.data + 2 * first,
           2 * (size_t)length * sizeof(float));
  if (!kept) {
    m->num_features = width;
    m->features = TAKE(c, &m->keep, float, (size_t)length * width);
    memcpy(m->features, features + first * width, (size_t)length * width * sizeof(float));
  }
}

/* ---- A motion for each prompt and sample ---- */

/* What is refused before anything is made. */
static void check_batch(generation *g) {
  const request *r = g->request;
  constraints held = given_constraints(g->c, g->request, g->features->skeleton);
  int32_t i;
  if ((int64_t)r->num_prompts * r->num_samples > MAX_ROWS)
    fail(g->c, MRT_BAD_INPUT, "%d prompts of %d samples: at most %d motions", r->num_prompts,
         r->num_samples, MAX_ROWS);
  for (i = 0; i < r->num_prompts; i++) constraints_check(g->c, held, r->num_frames[i]);
}

/* Warn of what is longer in one piece than the model was trained on. */
static void tell_length(const generation *g, int32_t num_frames) {
  const bundle *b = &g->pipeline->bundle;
  if (num_frames > b->advised_frames)
    log_line(MRT_LOG_WARNING,
             "%g s in one piece: %s was trained on up to %g s, what is longer stands still or "
             "breaks",
             num_frames / b->fps, b->name, b->advised_seconds);
}

static mrt_motions *generate_batch(generation *g) {
  const request *r = g->request;
  call *c = g->c;
  int32_t width = g->features->width, rows, row, i, most = 0;
  constraints held = given_constraints(g->c, g->request, g->features->skeleton);
  tokens text;
  int32_t *lengths;
  sampling s = {0};
  decoded_batch d;
  mrt_motions *list;
  rows = r->num_prompts * r->num_samples;
  for (i = 0; i < r->num_prompts; i++)
    if (r->num_frames[i] > most) most = r->num_frames[i];
  tell_length(g, most);
  text = embed_prompts(g);
  lengths = TEMP(c, int32_t, rows);
  s.batch = rows;
  s.num_frames = most;
  s.lengths = lengths;
  s.x = TEMP(c, float, (size_t)rows * most * width);
  s.text = tokens_new(c, rows, text.count, g->model->text_width);
  s.headings = TEMP(c, float, rows);
  draw(c, r, &g->noise, s.x, (size_t)rows * most * width);
  if (held.count) {
    s.observed = TEMP(c, float, (size_t)rows * most * width);
    s.mask = TEMP(c, float, (size_t)rows * most * width);
  }
  for (row = 0; row < rows; row++) {
    size_t at = (size_t)row * most * width;
    i = row / r->num_samples;
    lengths[row] = r->num_frames[i];
    copy_tokens(g, &text, i, &s.text, row);
    s.headings[row] = r->headings ? r->headings[row] : (float)r->first_heading;
    if (!isfinite(s.headings[row])) fail(c, MRT_BAD_INPUT, "first heading: must be finite");
    if (!held.count) continue;
    constraints_fill(c, held, g->features, most, g->compat, s.observed + at, s.mask + at);
    features_normalize(g->features, s.observed + at, (size_t)most);
  }
  denoise(g, &s);
  decode(g, s.x, rows, most, &d);
  list = motions_new(c, rows);
  for (row = 0; row < rows; row++) {
    const char *prompt = r->prompts[row / r->num_samples];
    finish(g, list, row, &d, s.x, most, row, lengths[row], held, false, NULL, 0);
    list->items[row]->sample = row % r->num_samples;
    list->items[row]->prompt = arena_copy(c, &list->items[row]->keep, prompt, strlen(prompt));
  }
  return list;
}

/* ---- One motion of several prompts ---- */

/* The features (T, D), not normalised, of a motion that is to be continued. */
static float *encode_previous(generation *g, const mrt_motion *m) {
  call *c = g->c;
  const mrt_skeleton *native = g->features->skeleton;
  const expansion *e = find_expansion(native->expands_to);
  bool reduces = e && m->skeleton->num_joints == e->num_joints;
  int32_t joints = native->num_joints, t, j, width = g->features->width;
  mat3 *local = TEMP(c, mat3, (size_t)m->num_frames * joints);
  vec3 *root = TEMP(c, vec3, m->num_frames);
  float *values = TEMP(c, float, (size_t)m->num_frames * width);
  if (m->skeleton->num_joints != g->pipeline->bundle.output_skeleton->num_joints ||
      strcmp(m->skeleton->name, g->pipeline->bundle.output_skeleton->name))
    fail(c, MRT_BAD_INPUT, "the motion to continue has skeleton %s, the model's motions %s",
         m->skeleton->name, g->pipeline->bundle.output_skeleton->name);
  if (fabs(m->fps - g->features->fps) > 1e-3)
    fail(c, MRT_BAD_INPUT, "the motion to continue has %g fps, the model %g", m->fps,
         g->features->fps);
  if (m->num_frames < 5)
    fail(c, MRT_BAD_INPUT, "the motion to continue has %d frames, it takes 5", m->num_frames);
  for (t = 0; t < m->num_frames; t++) {
    root[t] = vec_load(m->root_positions + 3 * t);
    for (j = 0; j < joints; j++) {
      size_t source = (size_t)t * m->skeleton->num_joints + (reduces ? e->indices[j] : j);
      local[(size_t)t * joints + j] = mat_load(m->local_mats + 9 * source);
    }
  }
  features_encode(c, g->features, local, root, m->num_frames, values);
  for (t = 0; t < m->num_frames; t++) {
    float *row = values + (size_t)t * width;
    if (m->smooth_root) { /* kept, and the joints made relative to it */
      const float *smooth = m->smooth_root + 3 * t;
      float dx = row[0] - smooth[0], dz = row[2] - smooth[2];
      for (j = 0; j < joints; j++) {
        row[POSITION_FEATURES + 3 * j] += dx;
        row[POSITION_FEATURES + 3 * j + 2] += dz;
      }
      row[0] = smooth[0], row[2] = smooth[2];
    }
    if (m->foot_contacts && (m->num_contacts == 4 || m->num_contacts == 6)) {
      static const int six_to_four[] = {0, 1, 3, 4};
      for (j = 0; j < 4; j++)
        row[g->features->contacts + j] =
            m->foot_contacts[(size_t)t * m->num_contacts +
                             (m->num_contacts == 4 ? j : six_to_four[j])];
    }
  }
  return values;
}

/* Hold the first frames of a decoded tail as they are. */
static constraints transition(generation *g, const decoded *tail, int32_t count) {
  static const mrt_constraint_kind kinds[] = {MRT_FULL_BODY, MRT_LEFT_HAND, MRT_RIGHT_HAND,
                                              MRT_LEFT_FOOT, MRT_RIGHT_FOOT};
  static const int32_t groups[] = {-1, 2, 3, 0, 1};
  constraints held;
  int32_t k, t;
  held.count = g->compat->transition_limbs ? 5 : 1;
  held.items = TEMP(g->c, constraint, held.count);
  for (k = 0; k < (int32_t)held.count; k++) {
    constraint *item = &held.items[k];
    item->kind = kinds[k];
    item->num_frames = count;
    item->num_joints = g->features->num_joints;
    item->frames = TEMP(g->c, int32_t, count);
    item->smooth_root = TEMP(g->c, float, 2 * count);
    item->columns = 2;
    item->local = tail->local;
    item->root = tail->root;
    if (groups[k] >= 0) item->groups[item->num_groups++] = groups[k];
    for (t = 0; t < count; t++) {
      item->frames[t] = t;
      item->smooth_root[2 * t] = tail->smooth[3 * t];
      item->smooth_root[2 * t + 1] = tail->smooth[3 * t + 2];
    }
  }
  return held;
}

/* Clean up one sample's features, not normalised, in place; its contacts stay. */
static void correct_features(generation *g, float *values, int32_t num_frames, constraints held) {
  call *c = g->c;
  const motion_features *f = g->features;
  float *fresh;
  decoded d;
  correction_targets targets;
  int32_t t;
  if (num_frames < 5) return; /* the root smoother cannot work on less */
  d = features_decode(c, f, values, num_frames);
  targets = constraints_targets(c, held, f->skeleton, num_frames, g->compat);
  correct_motion(c, f->skeleton, d.local, d.root, d.contacts, num_frames, &targets,
                 g->root_margin);
  fresh = TEMP(c, float, (size_t)num_frames * f->width);
  features_encode(c, f, d.local, d.root, num_frames, fresh);
  for (t = 0; t < num_frames; t++)
    memcpy(values + (size_t)t * f->width, fresh + (size_t)t * f->width,
           (size_t)f->contacts * sizeof(float));
}

/* The features so far of every sample: (B, room, D), of which the first `length` frames count. */
typedef struct track {
  float *values;
  int32_t room, length;
} track;

static float *track_row(const generation *g, const track *made, int32_t sample, int32_t frame) {
  return made->values + ((size_t)sample * made->room + frame) * g->features->width;
}

/* Sample one part and put it behind what there is, blended over its transition. */
static void add_part(generation *g, track *made, int32_t own, int32_t extra, int32_t start,
                     constraints all, const tokens *text, int32_t prompt, float *heading) {
  call *c = g->c;
  const motion_features *f = g->features;
  int32_t samples = g->request->num_samples, length = own + extra, width = f->width, b, t, k;
  int32_t transition_count = g->transitions.num_frames, *lengths = TEMP(c, int32_t, samples);
  size_t cells = (size_t)length * width;
  constraints *rows = TEMP(c, constraints, samples);
  float *origin = TEMP(c, float, 2 * samples);
  sampling s = {0};
  s.batch = samples;
  s.num_frames = length;
  s.lengths = lengths;
  s.x = TEMP(c, float, samples * cells);
  s.observed = TEMP(c, float, samples * cells);
  s.mask = TEMP(c, float, samples * cells);
  s.text = tokens_new(c, samples, text->count, g->model->text_width);
  s.headings = heading;
  for (b = 0; b < samples; b++) {
    constraints held = constraints_crop(c, all, start, start + own);
    float *observed = s.observed + b * cells, *held_mask = s.mask + b * cells;
    if (extra) {
      const float *tail = track_row(g, made, b, made->length - extra);
      decoded d = features_decode(c, f, tail, extra);
      constraints_shift(held, extra);
      held = constraints_join(c, transition(g, &d, transition_count), held);
      origin[2 * b] = tail[0];
      origin[2 * b + 1] = tail[2];
      heading[b] = (float)heading_of(f->skeleton, d.posed);
    }
    rows[b] = held;
    lengths[b] = length;
    copy_tokens(g, text, prompt, &s.text, b);
    constraints_fill(c, held, f, length, g->compat, observed, held_mask);
    features_translate(f, observed, (size_t)length, -origin[2 * b], -origin[2 * b + 1]);
    for (k = 0; k < (int32_t)cells; k++) observed[k] *= held_mask[k];
    features_normalize(f, observed, (size_t)length);
  }
  draw(c, g->request, &g->noise, s.x, samples * cells);
  denoise(g, &s);
  for (b = 0; b < samples; b++) {
    float *fresh = s.x + b * cells, *old = track_row(g, made, b, made->length - extra);
    features_unnormalize(f, fresh, (size_t)length);
    features_translate(f, fresh, (size_t)length, origin[2 * b], origin[2 * b + 1]);
    if (g->correct && g->compat->correct_segments) correct_features(g, fresh, length, rows[b]);
    for (t = 0; extra && t < transition_count; t++) {
      /* From 1 to 0, in single precision. */
      float weight = transition_count > 1 ? (float)(1.0 - (double)t / (transition_count - 1)) : 1;
      for (k = 0; k < width; k++) {
        float *value = fresh + (size_t)t * width + k;
        *value = weight * old[(size_t)t * width + k] + (1 - weight) * *value;
      }
    }
    memcpy(old, fresh, cells * sizeof(float));
  }
  made->length += own;
}

static mrt_motions *generate_sequence(generation *g) {
  const request *r = g->request;
  call *c = g->c;
  const motion_features *f = g->features;
  const mrt_motion *previous = r->continue_from;
  int32_t samples = r->num_samples, before = previous ? previous->num_frames : 0, total = before;
  int32_t *extra, longest = 0, i, b, num_previous = before, kept, start;
  constraints all = given_constraints(g->c, g->request, g->features->skeleton), inside;
  float *heading = TEMP(c, float, samples), *part, *earlier = NULL, place[2] = {0, 0};
  tokens text;
  char *prompt;
  bool each = g->correct && g->compat->correct_segments;
  chain parts;
  track made = {0};
  decoded_batch d;
  mrt_motions *list;
  buffer joined = {&c->memory, NULL, 0, 0};
  if (previous && r->first_heading != 0)
    fail(c, MRT_BAD_INPUT, "a motion that is continued has a heading already; give no first one");
  if (previous) earlier = encode_previous(g, previous);
  parts = chain_prompts(c, &g->transitions, r->num_frames, r->num_prompts, before);
  extra = TEMP(c, int32_t, parts.num_parts);
  for (i = 0; i < parts.num_parts; i++) {
    int32_t own = parts.num_frames[i];
    if (num_previous) {
      extra[i] = transition_frames(&g->transitions, num_previous);
      if (extra[i] > num_previous)
        fail(c, MRT_BAD_INPUT,
             "part %d: its transition takes %d frames of the %d before it; lengthen that part or "
             "use fewer transition frames",
             i, extra[i], num_previous);
    }
    if (own + extra[i] > g->pipeline->bundle.max_frames)
      fail(c, MRT_BAD_INPUT, "%d frames: this model takes 1 to %d, transitions included",
           own + extra[i], g->pipeline->bundle.max_frames);
    num_previous = own;
    if (own > longest) longest = own;
    if (total > 100000000 - own) fail(c, MRT_BAD_INPUT, "too many frames in all");
    total += own;
  }
  tell_length(g, longest);
  if (earlier) {
    const float *last = earlier + (size_t)(before - 1) * f->width;
    place[0] = last[0], place[1] = last[2];
  }
  all = constraints_join(c, all,
                         chain_waypoints(c, &parts, all, g->compat, before,
                                         before ? before - 1 : 0, place));
  text = embed_prompts(g);
  made.room = total;
  made.length = before;
  made.values = TEMP(c, float, (size_t)samples * total * f->width);
  for (b = 0; b < samples; b++) {
    heading[b] = r->headings ? r->headings[b] : (float)r->first_heading;
    if (!isfinite(heading[b])) fail(c, MRT_BAD_INPUT, "first heading: must be finite");
    if (earlier)
      memcpy(track_row(g, &made, b, 0), earlier, (size_t)before * f->width * sizeof(float));
  }
  for (i = 0, start = before; i < parts.num_parts; i++) {
    add_part(g, &made, parts.num_frames[i], extra[i], start, all, &text, parts.prompts[i],
             heading);
    start += parts.num_frames[i];
  }
  /* A motion that is continued stays as it is up to where the new part is blended in. */
  kept = before - extra[0];
  if (kept < 0) kept = 0;
  part = TEMP(c, float, (size_t)samples * (total - kept) * f->width);
  for (b = 0; b < samples; b++) {
    float *row = part + (size_t)b * (total - kept) * f->width;
    memcpy(row, track_row(g, &made, b, kept), (size_t)(total - kept) * f->width * sizeof(float));
    features_normalize(f, row, (size_t)(total - kept));
  }
  decode(g, part, samples, total - kept, &d);
  inside = constraints_crop(c, all, kept, total);
  for (i = 0; i < r->num_prompts; i++)
    buffer_print(c, &joined, "%s%s", i ? " " : "", r->prompts[i]);
  prompt = joined.bytes;
  list = motions_new(c, samples);
  for (b = 0; b < samples; b++) {
    constraints held = inside;
    mrt_motion *m;
    if (kept) { /* its first frame hangs on those that are kept */
      constraint *first = TEMP(c, constraint, 1);
      constraints one = {first, 1};
      decoded at = features_decode(c, f, track_row(g, &made, b, kept), 1);
      first->kind = MRT_FULL_BODY;
      first->num_frames = 1;
      first->num_joints = f->num_joints;
      first->frames = TEMP(c, int32_t, 1);
      first->local = at.local;
      first->root = at.root;
      held = constraints_join(c, one, inside);
    }
    finish(g, list, b, &d, part, total - kept, b, total - kept, held, each, previous, kept);
    m = list->items[b];
    m->sample = b;
    m->prompt = arena_copy(c, &m->keep, prompt, strlen(prompt));
  }
  return list;
}

/* The motions of each prompt in turn, of a long one as a chain of parts. */
static mrt_motions *generate_one_by_one(generation *g) {
  const request *all = g->request;
  int32_t samples = all->num_samples, i, b;
  mrt_motions *list = motions_new(g->c, all->num_prompts * samples);
  request alone = *all;
  g->request = &alone;
  for (i = 0, alone.num_prompts = 1; i < all->num_prompts; i++) {
    mrt_motions *made;
    alone.prompts = all->prompts + i;
    alone.num_frames = all->num_frames + i;
    if (all->embeddings)
      alone.embeddings = all->embeddings + (size_t)i * all->num_tokens * g->model->text_width;
    if (all->embedding_mask)
      alone.embedding_mask = all->embedding_mask + (size_t)i * all->num_tokens;
    if (all->headings) alone.headings = all->headings + (size_t)i * samples;
    made = generate_sequence(g);
    for (b = 0; b < samples; b++) {
      list->items[i * samples + b] = made->items[b];
      made->items[b] = NULL;
    }
  }
  return list;
}

static mrt_motions *kimodo_generate(call *c, mrt_pipeline *p, const request *r, uint32_t seed) {
  generation g = {0};
  int32_t i;
  g.c = c;
  g.pipeline = p;
  g.model = p->model;
  g.features = &g.model->features;
  g.request = r;
  g.seed = seed;
  noise_seed(&g.noise, seed);
  settle(&g);
  if (r->sequence || r->continue_from) return generate_sequence(&g);
  check_batch(&g);
  for (i = 0; i < r->num_prompts; i++)
    if (g.transitions.longest && r->num_frames[i] > g.transitions.longest)
      return generate_one_by_one(&g);
  return generate_batch(&g);
}

/* ---- The family ---- */

static int32_t max_frames(const mrt_pipeline *p, const request *r) {
  /* What is chained may be longer than the model allows at once. */
  double chained = MAX_CHAINED_SECONDS * p->bundle.fps;
  return r->no_chain || chained < p->bundle.max_frames ? p->bundle.max_frames : (int32_t)chained;
}
static int32_t num_features(const mrt_pipeline *p) {
  return ((const kimodo *)p->model)->features.width;
}
static int32_t text_width(const mrt_pipeline *p) { return ((const kimodo *)p->model)->text_width; }
static bool has_text_encoder(const mrt_pipeline *p) {
  return text_has_encoder(((const kimodo *)p->model)->text);
}
static int32_t num_book_prompts(const mrt_pipeline *p) {
  return text_num_book_prompts(((const kimodo *)p->model)->text);
}
static const char *book_prompt(const mrt_pipeline *p, int32_t index) {
  return text_book_prompt(((const kimodo *)p->model)->text, index);
}
static int32_t max_text_tokens(const mrt_pipeline *p) {
  return ((const kimodo *)p->model)->most_tokens;
}
static const float *embed(call *c, mrt_pipeline *p, const char *prompt, int32_t *num_tokens) {
  kimodo *m = p->model;
  return text_tokens(c, m->text, prompt, m->text_width, m->most_tokens, num_tokens);
}

static const char *const graphs[] = {"step", "decoder", "text_encoder", NULL};

const family kimodo_family = {"kimodo",     true,         true,             false,
                              true,         graphs,       kimodo_open,  max_frames,       kimodo_generate,
                              num_features, text_width,   has_text_encoder, num_book_prompts,
                              book_prompt,  embed,        max_text_tokens};
