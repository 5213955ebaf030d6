/* MotionGPT3: a language model's hidden states, a diffusion head, a motion decoder. */
#include <string.h>

#include "noise.h"
#include "pipeline.h"
#include "schedule.h"
#include "tokenizer.h"
#include "unicode.h"

#define NUM_BASE_STEPS 1000
#define FIRST_BETA 0.00085
#define LAST_BETA 0.012
#define NUM_FEATURES 263
#define NUM_JOINTS 22
#define OUTPUT_HOLDER 2 /* a motion token's id, relative to the text vocabulary */
#define MAX_TEXT_TOKENS (1 << 14)
#define MAX_ROWS (1 << 12)

typedef struct motiongpt3 {
  int32_t latent_dim, num_steps;
  const char *solver;
  double guidance_scale;
  bool has_null_condition, has_language;
  const char *tokenizer_file;
  int32_t max_tokens, vocab_size, num_output_holders, num_positions;
  bool wraps_holders;
  tokenizer *tokenizer;
  ort_session *backbone, *conditions, *sampler, *decoder;
} motiongpt3;

static const char *const added_tokens[] = {
    "<start_of_motion>", "<end_of_motion>",
    "<masked_motion>",   "<pad_motion>",
    "<motion_latent_holder_output>", "<motion_latent_holder>",
};
#define END_OF_TEXT "<|endoftext|>"
static const char *const reserved[] = {END_OF_TEXT, "<Motion_Placeholder>",
                                       "<Motion_Placeholder_Masked>"};
/* Where a template has the caption, the frames and the seconds of the motion. */
static const char *const places[] = {"<Caption_Placeholder>", "<Frame_Placeholder>",
                                     "<Second_Placeholder>"};
#define MAX_TEMPLATE 4096
#define SEAM_FRAMES 8 /* in which a clip gives up the pose and speed that it was joined with */
#define MAX_JOINED_FRAMES (1 << 24)

static void *motiongpt3_open(call *c, mrt_pipeline *p) {
  motiongpt3 *m = TAKE(c, &p->keep, motiongpt3, 1);
  const bundle *b = &p->bundle;
  m->latent_dim = need_count(c, b, b->sampler, "latent_dim");
  if (m->latent_dim > 1 << 16) fail(c, MRT_BAD_BUNDLE, "%s: latent_dim makes no sense", b->place);
  if (b->output_skeleton->num_joints != NUM_JOINTS)
    fail(c, MRT_BAD_BUNDLE, "%s: its skeleton has %d joints, not %d", b->place,
         b->output_skeleton->num_joints, NUM_JOINTS);
  m->has_language = b->text->num_items > 0;
  if (!m->has_language) return m;
  m->num_steps = need_count(c, b, b->sampler, "num_steps");
  m->solver = need_text(c, &p->keep, b, b->sampler, "solver");
  m->guidance_scale = need_number(c, b, b->sampler, "guidance_scale");
  m->has_null_condition = need_switch(c, b, b->sampler, "has_null_condition");
  m->tokenizer_file = need_text(c, &p->keep, b, b->text, "tokenizer");
  m->max_tokens = need_count(c, b, b->text, "max_tokens");
  m->vocab_size = need_count(c, b, b->text, "vocab_size");
  m->num_output_holders = need_count(c, b, b->text, "num_output_holders");
  m->num_positions = need_count(c, b, b->text, "num_positions");
  m->wraps_holders = need_switch(c, b, b->text, "wraps_holders");
  if (m->num_output_holders > 1024 || m->max_tokens > MAX_TEXT_TOKENS)
    fail(c, MRT_BAD_BUNDLE, "%s: its text section makes no sense", b->place);
  return m;
}

static ort_session *graph(call *c, mrt_pipeline *p, ort_session **kept, const char *name) {
  if (!*kept) *kept = bundle_session(c, &p->keep, &p->bundle, name, &p->session);
  return *kept;
}

/* ---- Prompts ---- */

#define HAS(words, text) holds(words, sizeof words / sizeof *words, text)
/* The first of the words that a text holds, or NULL. */
static const char *holds(const char *const *words, size_t count, const char *text) {
  size_t i;
  for (i = 0; i < count; i++)
    if (strstr(text, words[i])) return words[i];
  return NULL;
}

/* How a prompt is worded: a template by its name, or itself. */
static const char *find_template(call *c, const char *asked) {
  const char *found;
  if (!asked || !strcmp(asked, "caption")) return "<Caption_Placeholder> \n ";
  if (!strcmp(asked, "evaluation")) return "Generate motion: <Caption_Placeholder> \n \n ";
  if (!strstr(asked, places[0]))
    fail(c, MRT_BAD_INPUT, "template \"%.100s\" is unknown; choose caption or evaluation, or write "
         "one with %s (the Python package reads files of them)", asked, places[0]);
  if (strlen(asked) > MAX_TEMPLATE)
    fail(c, MRT_BAD_INPUT, "template of %zu bytes: %d are the most", strlen(asked), MAX_TEMPLATE);
  if ((found = HAS(added_tokens, asked)) || (found = HAS(reserved, asked)))
    fail(c, MRT_BAD_INPUT, "template holds %s, which the model reserves; leave it out", found);
  return asked;
}

/* A prompt without outer blanks, worded for the model; MRT_BAD_INPUT for what means something to
 * it. */
static char *motion_request(call *c, const motiongpt3 *m, const char *prompt, const char *worded,
                            int32_t num_frames, double fps) {
  buffer out = {&c->memory, NULL, 0, 0};
  const char *end, *start = prompt, *found;
  char *trimmed;
  size_t size;
  int32_t k;
  if ((found = HAS(added_tokens, prompt)) || (found = HAS(reserved, prompt)) ||
      (found = HAS(places, prompt)))
    fail(c, MRT_BAD_INPUT, "prompt holds %s, which the model reserves; leave it out", found);
  end = prompt + strlen(prompt);
  while (start < end && is_space(utf8_read(start, end, &size))) start += size;
  trimmed = trim_end(c, &c->memory, start);
  while (*worded) {
    for (k = 0; k < 3 && strncmp(worded, places[k], strlen(places[k])); k++) continue;
    if (k == 3)
      buffer_add(c, &out, worded++, 1);
    else
      worded += strlen(places[k]);
    if (k == 0) buffer_print(c, &out, "%s", trimmed);
    if (k == 1) buffer_print(c, &out, "%d", num_frames);
    if (k == 2) buffer_print(c, &out, "%.1f", num_frames / fps);
  }
  if (m->wraps_holders) buffer_print(c, &out, "%s", added_tokens[0]);
  for (k = 0; k < m->num_output_holders; k++) buffer_print(c, &out, "%s", added_tokens[4]);
  if (m->wraps_holders) buffer_print(c, &out, "%s", added_tokens[1]);
  buffer_print(c, &out, "%s", END_OF_TEXT);
  return out.bytes;
}

/* Token ids by modality, each with its position; rows are filled with a position past the table. */
typedef struct prompt_tokens {
  int64_t batch, num_text, num_motion;
  int64_t *text_ids, *text_positions, *motion_ids, *motion_positions;
} prompt_tokens;

static prompt_tokens tokenize(call *c, mrt_pipeline *p, const request *r, const char *worded) {
  motiongpt3 *m = p->model;
  int32_t i, s;
  size_t k;
  prompt_tokens all = {0};
  token_ids *rows = TEMP(c, token_ids, r->num_prompts);
  if (!m->tokenizer) {
    named_bytes file = bundle_read(c, &c->memory, &p->bundle, m->tokenizer_file);
    m->tokenizer =
        tokenizer_parse(c, &p->keep, file.bytes, file.num_bytes, m->tokenizer_file);
  }
  for (i = 0; i < r->num_prompts; i++) {
    const char *text =
        motion_request(c, m, r->prompts[i], worded, r->num_frames[i], p->bundle.fps);
    int64_t num_text = 0, num_motion = 0;
    size_t last = 0;
    rows[i] = tokenizer_encode(c, &c->memory, m->tokenizer, text, strlen(text), false,
                               MAX_TEXT_TOKENS);
    if (rows[i].count > (size_t)m->max_tokens)
      fail(c, MRT_BAD_INPUT, "prompt of %zu tokens: at most %d; describe one short motion",
           rows[i].count, m->max_tokens);
    /* What follows the last output holder has no effect. */
    for (k = 0; k < rows[i].count; k++)
      if (rows[i].ids[k] == m->vocab_size + OUTPUT_HOLDER) last = k + 1;
    if (!last)
      fail(c, MRT_BAD_BUNDLE, "%s: its tokenizer has no motion tokens", p->bundle.place);
    rows[i].count = last;
    for (k = 0; k < last; k++) num_text += rows[i].ids[k] < m->vocab_size;
    num_motion = (int64_t)last - num_text;
    if (num_text > all.num_text) all.num_text = num_text;
    if (i && num_motion != all.num_motion)
      fail(c, MRT_BAD_INPUT, "prompts of one call must hold the same motion tokens");
    all.num_motion = num_motion;
  }
  all.batch = (int64_t)r->num_prompts * r->num_samples;
  all.text_ids = TEMP(c, int64_t, all.batch * all.num_text + 1);
  all.text_positions = TEMP(c, int64_t, all.batch * all.num_text + 1);
  all.motion_ids = TEMP(c, int64_t, all.batch * all.num_motion + 1);
  all.motion_positions = TEMP(c, int64_t, all.batch * all.num_motion + 1);
  for (i = 0; i < r->num_prompts; i++)
    for (s = 0; s < r->num_samples; s++) {
      int64_t row = (int64_t)i * r->num_samples + s, text = 0, motion = 0;
      for (k = 0; k < rows[i].count; k++) {
        int32_t id = rows[i].ids[k];
        if (id < m->vocab_size) {
          all.text_ids[row * all.num_text + text] = id;
          all.text_positions[row * all.num_text + text++] = (int64_t)k;
        } else {
          all.motion_ids[row * all.num_motion + motion] = id - m->vocab_size;
          all.motion_positions[row * all.num_motion + motion++] = (int64_t)k;
        }
      }
      for (; text < all.num_text; text++)
        all.text_positions[row * all.num_text + text] = m->num_positions;
    }
  return all;
}

/* The hidden states (B, K, width) of the holders; width is told. */
static float *holder_hidden(call *c, mrt_pipeline *p, const prompt_tokens *t, int64_t *width) {
  motiongpt3 *m = p->model;
  const bundle *b = &p->bundle;
  int64_t B = t->batch, K = m->num_output_holders, row, nothing = 0;
  tensor past = {"past", TENSOR_FLOAT, 0, {0}, &nothing}, outputs[1] = {{0}};
  const json *inputs = json_get(json_get(b->graphs, "backbone"), "inputs"), *item, *axis;
  float *hidden;
  /* No tokens came before: the axis of that name is empty. */
  for (item = inputs && inputs->kind == JSON_ARRAY ? inputs->first : NULL; item;
       item = item->next) {
    const json *axes = json_get(item, "axes");
    if (!json_is(json_get(item, "name"), "past") || !axes || axes->kind != JSON_ARRAY) continue;
    for (axis = axes->first; axis && past.rank < MAX_RANK; axis = axis->next)
      past.dims[past.rank++] = json_is(axis, "batch")             ? B
                               : axis->kind == JSON_NUMBER ? axis->integer
                                                                  : 0;
  }
  {
    tensor given[] = {
        {"text_ids", TENSOR_INT64, 2, {B, t->num_text}, t->text_ids},
        {"text_positions", TENSOR_INT64, 2, {B, t->num_text}, t->text_positions},
        {"motion_ids", TENSOR_INT64, 2, {B, t->num_motion}, t->motion_ids},
        {"motion_positions", TENSOR_INT64, 2, {B, t->num_motion}, t->motion_positions},
        {"motion_latents", TENSOR_FLOAT, 3, {B, 0, m->latent_dim}, &nothing},
        past,
        {"past_positions", TENSOR_INT64, 2, {B, 0}, &nothing},
        {"logit_rows", TENSOR_INT64, 2, {B, 0}, &nothing},
    };
    outputs[0].name = "motion_hidden";
    session_run(c, &c->memory, graph(c, p, &m->backbone, "backbone"), given,
                sizeof given / sizeof *given, outputs, 1);
  }
  if (outputs[0].type != TENSOR_FLOAT || outputs[0].rank != 3 || outputs[0].dims[0] != B ||
      outputs[0].dims[1] < K || outputs[0].dims[1] > t->num_motion)
    fail(c, MRT_BAD_BUNDLE, "%s: its language model gives another shape", b->place);
  *width = outputs[0].dims[2];
  hidden = TEMP(c, float, B *K * *width);
  for (row = 0; row < B; row++)
    memcpy(hidden + row * K * *width,
           (const float *)outputs[0].data +
               (row * outputs[0].dims[1] + outputs[0].dims[1] - K) * *width,
           (size_t)(K * *width) * sizeof(float));
  return hidden;
}

/* ---- The head ---- */

/* Steps and their rows (N, 6): x0 = c0 x + c1 noise', x' = c2 x + c3 x0 + c4 x0_previous + c5 noise.
 */
static schedule head_schedule(call *c, int32_t num_steps, const char *solver, double temperature) {
  double *alphas = TEMP(c, double, NUM_BASE_STEPS), product = 1;
  bool ancestral = !strcmp(solver, "ancestral");
  schedule result;
  double *rows = TEMP(c, double, 6 * num_steps);
  int64_t *steps = TEMP(c, int64_t, num_steps);
  int32_t i, k;
  for (i = 0; i < NUM_BASE_STEPS; i++) {
    double step = (LAST_BETA - FIRST_BETA) / (NUM_BASE_STEPS - 1);
    product *= 1 - (i == NUM_BASE_STEPS - 1 ? LAST_BETA : FIRST_BETA + step * i);
    alphas[i] = product;
  }
  if (!strcmp(solver, "dpmpp-2m"))
    spaced_in_log_snr(c, alphas, NUM_BASE_STEPS, steps, num_steps);
  else
    respaced_timesteps(steps, NUM_BASE_STEPS, num_steps);
  for (i = 0; i < num_steps; i++) {
    double signal = alphas[steps[i]], before = i ? alphas[steps[i - 1]] : 1;
    double beta = 1 - signal / before, *row = rows + 6 * i;
    row[0] = sqrt(1 / signal);
    row[1] = -sqrt(1 / signal - 1);
    if (!ancestral) continue;
    /* The posterior's mean and deviation. Source: Ho 2020, arXiv:2006.11239, equations 6 and 7. */
    row[2] = (1 - before) * sqrt(1 - beta) / (1 - signal);
    row[3] = beta * sqrt(before) / (1 - signal);
    row[5] = i ? sqrt(beta * (1 - before) / (1 - signal)) * temperature : 0;
  }
  if (!ancestral) {
    float *chosen = TEMP(c, float, num_steps);
    double *three = TEMP(c, double, 3 * num_steps);
    for (i = 0; i < num_steps; i++) chosen[i] = (float)alphas[steps[i]];
    solver_rows(solver, chosen, num_steps, three);
    for (i = 0; i < num_steps; i++)
      for (k = 0; k < 3; k++) rows[6 * i + 2 + k] = (float)three[3 * i + k];
  }
  result.num_steps = num_steps;
  result.timesteps = TEMP(c, int64_t, num_steps);
  result.coefficients = TEMP(c, float, 6 * num_steps);
  for (i = 0; i < num_steps; i++) {
    int32_t row = num_steps - 1 - i;
    result.timesteps[i] = steps[row];
    for (k = 0; k < 6; k++) result.coefficients[6 * i + k] = (float)rows[6 * row + k];
  }
  return result;
}

static void free_arena(void *what) { arena_free(what); }

/* What the request and the bundle settle. */
typedef struct settled {
  int32_t num_steps;
  const char *solver;
  double scale, temperature;
  const char *worded; /* the template */
  bool guided;
} settled;

/* What only other families have is no option here. */
static void refuse_others(call *c, const request *r) {
  const char *other = r->first_heading != 0 || r->headings  ? "first_heading_rad"
                      : r->postprocess >= 0                 ? "postprocess"
                      : r->root_margin >= 0                 ? "root_margin"
                      : !isnan(r->guided_from)              ? "guidance_interval"
                      : r->num_transition_frames            ? "num_transition_frames"
                      : r->no_chain                         ? "no_chain"
                      : r->compat != find_compat("2026-03") ? "compat"
                                                            : NULL;
  if (other) fail(c, MRT_BAD_INPUT, "motiongpt3 has no option %s", other);
}

static settled settle(call *c, const mrt_pipeline *p, const request *r) {
  static const struct {
    const char *name, *solver;
    int32_t num_steps; /* 0: the model's */
  } presets[] = {{"fast", "dpmpp-2m", 12}, {"balanced", "dpmpp-2m", 20}, {"exact", "ancestral", 0}};
  const motiongpt3 *m = p->model;
  settled s;
  size_t i;
  refuse_others(c, r);
  s.worded = find_template(c, r->text_template);
  s.num_steps = r->num_steps;
  s.solver = r->solver;
  if (r->preset) {
    for (i = 0; i < 3 && strcmp(presets[i].name, r->preset); i++) continue;
    if (i == 3)
      fail(c, MRT_BAD_INPUT, "preset \"%s\": motiongpt3 has fast, balanced, exact", r->preset);
    if (!s.num_steps) s.num_steps = presets[i].num_steps;
    if (!s.solver) s.solver = presets[i].solver;
  }
  if (!s.num_steps) s.num_steps = m->num_steps;
  if (!s.solver) s.solver = m->solver;
  if (s.num_steps > NUM_BASE_STEPS)
    fail(c, MRT_BAD_INPUT, "%d diffusion steps: must be from 1 to %d", s.num_steps,
         NUM_BASE_STEPS);
  if (strcmp(s.solver, "ancestral") && strcmp(s.solver, "ddim") && strcmp(s.solver, "dpmpp-2m"))
    fail(c, MRT_BAD_INPUT, "solver \"%s\" is unknown; choose ancestral, ddim, dpmpp-2m", s.solver);
  s.temperature = isnan(r->temperature) ? 1 : r->temperature;
  if (!isfinite(s.temperature) || s.temperature < 0)
    fail(c, MRT_BAD_INPUT, "temperature %g: must be 0 or more", s.temperature);
  if (r->num_weights == 2)
    fail(c, MRT_BAD_INPUT, "motiongpt3 takes one guidance weight, two are given");
  s.scale = r->num_weights == 0 ? 1 : r->num_weights == 1 ? r->weights[0] : m->guidance_scale;
  if (!isfinite(s.scale) || s.scale < 1)
    fail(c, MRT_BAD_INPUT, "guidance %g: must be 1 (off) or more", s.scale);
  s.guided = s.scale > 1;
  if (s.guided && !m->has_null_condition)
    fail(c, MRT_BAD_INPUT, "guidance %g: this model was trained without; use 1 (off)", s.scale);
  return s;
}

/* Denoise the latents (B, D), in place of the noise that they start from. */
static void denoise(call *c, mrt_pipeline *p, const request *r, const settled *s, float *x,
                    const float *step_noise, float *hidden, int64_t batch, int64_t width) {
  motiongpt3 *m = p->model;
  int64_t D = m->latent_dim, K = m->num_output_holders, G = s->guided ? 2 : 1;
  int64_t branches[2] = {0, 1};
  float weights[2];
  schedule plan = head_schedule(c, s->num_steps, s->solver, s->temperature);
  float *x0 = TEMP(c, float, batch *D);
  int32_t step;
  weights[0] = s->guided ? (float)s->scale : 1;
  weights[1] = (float)(1 - s->scale);
  for (step = 0; step < plan.num_steps; step++) {
    arena *results = TEMP(c, arena, 1);
    struct arena_cleanup *release = arena_defer(c, &c->memory, free_arena, results);
    tensor prepared[1] = {{0}}, outputs[2] = {{0}};
    tensor conditions[] = {
        {"hidden", TENSOR_FLOAT, 3, {batch, K, width}, hidden},
        {"branches", TENSOR_INT64, 1, {G}, branches},
        {"timesteps", TENSOR_INT64, 1, {1}, plan.timesteps + step},
    };
    report(c, r, "denoising", step, plan.num_steps);
    prepared[0].name = "modulations";
    session_run(c, results, graph(c, p, &m->conditions, "conditions"), conditions, 3, prepared, 1);
    {
      tensor inputs[] = {
          {"x", TENSOR_FLOAT, 2, {batch, D}, x},
          {"x0_previous", TENSOR_FLOAT, 2, {batch, D}, x0},
          prepared[0],
          {"schedule", TENSOR_FLOAT, 2, {1, 6}, plan.coefficients + 6 * step},
          {"noise", TENSOR_FLOAT, 3, {1, batch, D}, (void *)(step_noise + step * batch * D)},
          {"guidance_weights", TENSOR_FLOAT, 1, {G}, weights},
      };
      outputs[0].name = "x_next";
      outputs[1].name = "x0";
      session_run(c, results, graph(c, p, &m->sampler, "sampler"), inputs,
                  sizeof inputs / sizeof *inputs, outputs, 2);
    }
    if (tensor_count(&outputs[0]) != (size_t)(batch * D) || outputs[0].type != TENSOR_FLOAT ||
        tensor_count(&outputs[1]) != (size_t)(batch * D) || outputs[1].type != TENSOR_FLOAT)
      fail(c, MRT_BAD_BUNDLE, "%s: its sampler gives another shape than it takes",
           p->bundle.place);
    memcpy(x, outputs[0].data, (size_t)(batch * D) * sizeof(float));
    memcpy(x0, outputs[1].data, (size_t)(batch * D) * sizeof(float));
    cleanup_disarm(release);
    arena_free(results);
  }
  report(c, r, "denoising", plan.num_steps, plan.num_steps);
}

/* ---- From joints to a motion ---- */

/* The rotation that brings vectors `rest` nearest to `seen`. Source: Horn 1987, the eigenvector of
 * the largest eigenvalue, found by Jacobi's rotations. */
static mat3 best_fit(const vec3 *rest, const vec3 *seen, int count) {
  double s[3][3] = {{0}}, n[4][4], v[4][4] = {{0}};
  int i, j, k, sweep, best = 0;
  quat q;
  for (k = 0; k < count; k++) {
    const double a[3] = {rest[k].x, rest[k].y, rest[k].z}, b[3] = {seen[k].x, seen[k].y, seen[k].z};
    for (i = 0; i < 3; i++)
      for (j = 0; j < 3; j++) s[i][j] += a[i] * b[j];
  }
  n[0][0] = s[0][0] + s[1][1] + s[2][2];
  n[0][1] = n[1][0] = s[1][2] - s[2][1];
  n[0][2] = n[2][0] = s[2][0] - s[0][2];
  n[0][3] = n[3][0] = s[0][1] - s[1][0];
  n[1][1] = s[0][0] - s[1][1] - s[2][2];
  n[1][2] = n[2][1] = s[0][1] + s[1][0];
  n[1][3] = n[3][1] = s[2][0] + s[0][2];
  n[2][2] = -s[0][0] + s[1][1] - s[2][2];
  n[2][3] = n[3][2] = s[1][2] + s[2][1];
  n[3][3] = -s[0][0] - s[1][1] + s[2][2];
  for (i = 0; i < 4; i++) v[i][i] = 1;
  for (sweep = 0; sweep < 32; sweep++) {
    double off = 0;
    for (i = 0; i < 4; i++)
      for (j = i + 1; j < 4; j++) off += n[i][j] * n[i][j];
    if (off < 1e-300) break;
    for (i = 0; i < 4; i++)
      for (j = i + 1; j < 4; j++) {
        double theta, t, c, z;
        if (n[i][j] == 0) continue;
        theta = (n[j][j] - n[i][i]) / (2 * n[i][j]);
        t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
        c = 1 / sqrt(t * t + 1);
        z = t * c;
        for (k = 0; k < 4; k++) {
          double a = n[k][i], b = n[k][j];
          n[k][i] = c * a - z * b;
          n[k][j] = z * a + c * b;
        }
        for (k = 0; k < 4; k++) {
          double a = n[i][k], b = n[j][k];
          n[i][k] = c * a - z * b;
          n[j][k] = z * a + c * b;
          a = v[k][i], b = v[k][j];
          v[k][i] = c * a - z * b;
          v[k][j] = z * a + c * b;
        }
      }
  }
  for (i = 1; i < 4; i++)
    if (n[i][i] > n[best][best]) best = i;
  q.w = v[0][best], q.x = v[1][best], q.y = v[2][best], q.z = v[3][best];
  return quat_to_mat(q);
}

/* Local rotations (J) that pose a skeleton like joints (J): from the root outwards, each joint turns
 * its bones of the rest pose to where they are seen. Source: Li 2021, arXiv:2011.14672. */
static void solve_rotations(const mrt_skeleton *s, const vec3 *seen, mat3 *local) {
  mat3 world[NUM_JOINTS];
  vec3 posed[NUM_JOINTS];
  int32_t joint, j;
  for (joint = 0; joint < s->num_joints; joint++) {
    int32_t parent = s->parents[joint];
    mat3 before = parent < 0 ? mat_identity() : world[parent];
    vec3 rest[NUM_JOINTS], aims[NUM_JOINTS], start;
    int32_t children[NUM_JOINTS], count = 0;
    posed[joint] = parent < 0 ? seen[joint]
                              : vec_add(posed[parent],
                                        mat_apply(before, vec_load(s->offsets + 3 * joint)));
    for (j = joint + 1; j < s->num_joints; j++)
      if (s->parents[j] == joint) children[count++] = j;
    start = count > 1 ? seen[joint] : posed[joint];
    for (j = 0; j < count; j++) {
      rest[j] = vec_load(s->offsets + 3 * children[j]);
      aims[j] = mat_apply(mat_transpose(before), vec_sub(seen[children[j]], start));
    }
    local[joint] = count == 0   ? mat_identity()
                   : count == 1 ? shortest_arc(rest[0], aims[0], 2)
                                : best_fit(rest, aims, count);
    world[joint] = mat_mul(before, local[joint]);
  }
}

/* Where joints (22, 3) face, by hips and shoulders: radians about y. */
static double facing(const float *joints) {
  const float *left = joints + 3 * 1, *right = joints + 3 * 2; /* hips */
  const float *left_arm = joints + 3 * 16, *right_arm = joints + 3 * 17;
  double x = (double)right[0] - left[0] + right_arm[0] - left_arm[0];
  double z = (double)right[2] - left[2] + right_arm[2] - left_arm[2];
  return atan2(z, 0 - x); /* not -x: zero must not become -0, a half turn */
}

/* Put a clip behind the frames before it, whose last pose and step it goes on from: turned and moved
 * there, and what is left of the difference fades. joints holds both, the clip as it was made. */
static void carry_on(float *joints, int64_t before, int64_t num_frames) {
  enum { ROW = 3 * NUM_JOINTS };
  float *clip = joints + before * ROW;
  const float *last = clip - ROW;
  double aim[ROW], turn = facing(last) - facing(clip), cosine = cos(turn), sine = sin(turn);
  double pivot_x = clip[0], pivot_z = clip[2];
  int64_t t;
  int32_t k;
  for (k = 0; k < ROW; k++)
    aim[k] = last[k] + (before > 1 ? (double)last[k] - last[k - ROW] : 0);
  for (t = 0; t < num_frames; t++)
    for (k = 0; k < ROW; k += 3) {
      float *at = clip + t * ROW + k;
      double x = at[0] - pivot_x, z = at[2] - pivot_z;
      at[0] = (float)(cosine * x + sine * z + aim[0]);
      at[2] = (float)(cosine * z - sine * x + aim[2]);
    }
  for (k = 0; k < ROW; k++) aim[k] -= clip[k];
  for (t = 0; t < num_frames && t < SEAM_FRAMES; t++) {
    double left = 1 - (double)t / SEAM_FRAMES, share = left * left * (3 - 2 * left);
    for (k = 0; k < ROW; k++) clip[t * ROW + k] = (float)(clip[t * ROW + k] + share * aim[k]);
  }
}

/* features: NULL, if the motion was put together of clips, which have each their own. */
static void fill_motion(call *c, const mrt_pipeline *p, mrt_motion *m, const float *joints,
                        const float *features) {
  const mrt_skeleton *s = m->skeleton;
  mat3 *local = TEMP(c, mat3, (size_t)m->num_frames * NUM_JOINTS);
  vec3 *root = TEMP(c, vec3, m->num_frames), seen[NUM_JOINTS];
  double half = 0;
  int32_t t, j, k;
  for (t = 0; t < m->num_frames; t++) {
    for (j = 0; j < NUM_JOINTS; j++) {
      seen[j] = vec_load(joints + 3 * ((size_t)t * NUM_JOINTS + j));
      if (!isfinite(seen[j].x) || !isfinite(seen[j].y) || !isfinite(seen[j].z))
        fail(c, MRT_BAD_INPUT, "%s: the model gave numbers that are not finite at frame %d",
             p->bundle.place, t);
    }
    solve_rotations(s, seen, local + (size_t)t * NUM_JOINTS);
    root[t] = seen[0];
  }
  motion_pose(c, m, local, root);
  /* The positions are those that the model gave; the bones' own lengths come close to them. */
  memcpy(m->global_positions, joints, (size_t)m->num_frames * NUM_JOINTS * 3 * sizeof(float));
  if (!features) return;
  m->num_contacts = 4;
  m->foot_contacts = TAKE(c, &m->keep, uint8_t, 4 * (size_t)m->num_frames);
  m->heading = TAKE(c, &m->keep, float, 2 * (size_t)m->num_frames);
  m->num_features = NUM_FEATURES;
  m->features = TAKE(c, &m->keep, float, (size_t)m->num_frames * NUM_FEATURES);
  memcpy(m->features, features, (size_t)m->num_frames * NUM_FEATURES * sizeof(float));
  for (t = 0; t < m->num_frames; t++) {
    const float *row = features + (size_t)t * NUM_FEATURES;
    for (k = 0; k < 4; k++) m->foot_contacts[4 * t + k] = row[259 + k] > 0.5f;
    /* Half the turn of the heading adds up; its quaternion turns the world to the heading. */
    m->heading[2 * t] = (float)cos(2 * half);
    m->heading[2 * t + 1] = (float)-sin(2 * half);
    half += row[0];
  }
}

/* The motion of the prompts from first to last (left out), whose clips, decoded, have `most` frames
 * a row: the first sample of the first prompt, its second one, and so on. */
static mrt_motion *add_motion(call *c, const mrt_pipeline *p, const request *r, mrt_motions *list,
                              int32_t first, int32_t last, int32_t sample, const float *joints,
                              const float *features, int64_t most) {
  int64_t row = (int64_t)first * r->num_samples + sample, num_frames = 0;
  buffer prompt = {&c->memory, NULL, 0, 0};
  float *whole;
  mrt_motion *m;
  int32_t i;
  for (i = first; i < last; i++) {
    num_frames += r->num_frames[i];
    buffer_print(c, &prompt, i > first ? " %s" : "%s", r->prompts[i]);
  }
  if (num_frames > MAX_JOINED_FRAMES)
    fail(c, MRT_BAD_INPUT, "%lld frames in one motion: at most %d", (long long)num_frames,
         MAX_JOINED_FRAMES);
  m = motions_add(c, list, request_motion_of(r, first) * r->num_samples + sample,
                  p->bundle.output_skeleton, (int32_t)num_frames, p->bundle.fps);
  m->sample = sample;
  m->prompt = arena_copy(c, &m->keep, prompt.bytes, prompt.length);
  joints += row * most * NUM_JOINTS * 3;
  if (last == first + 1) {
    fill_motion(c, p, m, joints, features + row * most * NUM_FEATURES);
    return m;
  }
  whole = TEMP(c, float, num_frames *NUM_JOINTS * 3);
  for (i = first, num_frames = 0; i < last; i++, joints += r->num_samples * most * NUM_JOINTS * 3) {
    memcpy(whole + num_frames * NUM_JOINTS * 3, joints,
           (size_t)r->num_frames[i] * NUM_JOINTS * 3 * sizeof(float));
    if (i > first) carry_on(whole, num_frames, r->num_frames[i]);
    num_frames += r->num_frames[i];
  }
  fill_motion(c, p, m, whole, NULL);
  return m;
}

static mrt_motions *motiongpt3_generate(call *c, mrt_pipeline *p, const request *r, uint32_t seed) {
  motiongpt3 *m = p->model;
  const bundle *b = &p->bundle;
  int64_t batch = (int64_t)r->num_prompts * r->num_samples, D = m->latent_dim, width, most = 0, row;
  settled s;
  prompt_tokens tokens;
  float *hidden, *x, *steps, *drawn;
  bool *mask, ancestral;
  tensor outputs[2] = {{0}};
  mrt_motions *list;
  noise n;
  int32_t i, first, last;
  if (!m->has_language)
    fail(c, MRT_BAD_BUNDLE, "%s: holds a motion encoder and decoder, no language model", b->place);
  if (r->continue_from)
    fail(c, MRT_BAD_INPUT, "motiongpt3 continues motions in the Python package alone");
  if (batch > MAX_ROWS)
    fail(c, MRT_BAD_INPUT, "%lld motions in one call: at most %d", (long long)batch, MAX_ROWS);
  s = settle(c, p, r);
  report(c, r, "encoding text", 0, 1);
  tokens = tokenize(c, p, r, s.worded);
  hidden = holder_hidden(c, p, &tokens, &width);
  ancestral = !strcmp(s.solver, "ancestral");
  x = TEMP(c, float, batch *D);
  steps = TEMP(c, float, s.num_steps *batch *D);
  drawn = TEMP(c, float, 2 * batch * D);
  noise_seed(&n, seed);
  draw(c, r, &n, x, (size_t)(batch * D));
  for (i = 0; ancestral && i < s.num_steps; i++) {
    /* Drawn for both branches of guidance, of which the first is used. */
    draw(c, r, &n, drawn, (size_t)((s.guided ? 2 : 1) * batch * D));
    memcpy(steps + i * batch * D, drawn, (size_t)(batch * D) * sizeof(float));
  }
  denoise(c, p, r, &s, x, steps, hidden, batch, width);
  for (i = 0; i < r->num_prompts; i++)
    if (r->num_frames[i] > most) most = r->num_frames[i];
  mask = TEMP(c, bool, batch *most);
  for (row = 0; row < batch; row++)
    for (i = 0; i < r->num_frames[row / r->num_samples]; i++) mask[row * most + i] = true;
  {
    tensor inputs[] = {
        {"latents", TENSOR_FLOAT, 2, {batch, D}, x},
        {"frame_mask", TENSOR_BOOL, 2, {batch, most}, mask},
    };
    outputs[0].name = "joints";
    outputs[1].name = "features";
    session_run(c, &c->memory, graph(c, p, &m->decoder, "decoder"), inputs, 2, outputs, 2);
  }
  if (tensor_count(&outputs[0]) != (size_t)(batch * most * NUM_JOINTS * 3) ||
      tensor_count(&outputs[1]) != (size_t)(batch * most * NUM_FEATURES) ||
      outputs[0].type != TENSOR_FLOAT || outputs[1].type != TENSOR_FLOAT)
    fail(c, MRT_BAD_BUNDLE, "%s: its decoder gives another shape", b->place);
  list = motions_new(c, request_num_motions(r) * r->num_samples);
  for (first = 0; first < r->num_prompts; first = last) {
    int32_t number = request_motion_of(r, first), sample;
    for (last = first; last < r->num_prompts && request_motion_of(r, last) == number;) last++;
    for (sample = 0; sample < r->num_samples; sample++)
      add_motion(c, p, r, list, first, last, sample, (const float *)outputs[0].data,
                 (const float *)outputs[1].data, most)
          ->seed = seed;
  }
  return list;
}

/* ---- The family ---- */

static int32_t num_features(const mrt_pipeline *p) {
  (void)p;
  return NUM_FEATURES;
}
static int32_t max_frames(const mrt_pipeline *p, const request *r) {
  (void)r;
  return p->bundle.max_frames;
}
static int32_t no_number(const mrt_pipeline *p) {
  (void)p;
  return 0;
}
static bool has_text_encoder(const mrt_pipeline *p) {
  return ((const motiongpt3 *)p->model)->has_language;
}
static const char *book_prompt(const mrt_pipeline *p, int32_t index) {
  (void)p, (void)index;
  return NULL;
}
static const float *embed(call *c, mrt_pipeline *p, const char *prompt, int32_t *num_tokens) {
  (void)p, (void)prompt, (void)num_tokens;
  fail(c, MRT_BAD_INPUT, "motiongpt3 takes no embeddings");
}

static const char *const graphs[] = {"backbone", "conditions", "sampler", "decoder", NULL};

const family motiongpt3_family = {
    "motiongpt3", true,            false,      false,               false, graphs,
    motiongpt3_open, max_frames,   motiongpt3_generate, num_features, no_number,
    has_text_encoder, no_number,   book_prompt, embed, no_number};
