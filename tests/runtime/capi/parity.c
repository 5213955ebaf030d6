/* What the parity tests reach below the public functions. Linked with --wrap, so that they see what
 * goes through each graph, and word prompts themselves. */
#include "ardy_stream.h"
#include "correction.h"
#include "ort.h"
#include "pipeline.h"
#include "tokenizer.h"

#define EXPORT __attribute__((visibility("default")))

/* ---- Runs of graphs ---- */

/* Told of every tensor of a run; after its outputs once more without a name. */
typedef void (*tell_fn)(const char *name, int is_output, int type, int rank, const int64_t *dims,
                        const void *data);
static tell_fn tell;

EXPORT void test_listen(tell_fn listener) { tell = listener; }

void __real_session_run(call *c, arena *from, ort_session *session, const tensor *inputs,
                        size_t num_inputs, tensor *outputs, size_t num_outputs);
void __wrap_session_run(call *c, arena *from, ort_session *session, const tensor *inputs,
                        size_t num_inputs, tensor *outputs, size_t num_outputs);

static void tell_all(const tensor *all, size_t count, int is_output) {
  size_t i;
  for (i = 0; i < count; i++)
    tell(all[i].name, is_output, all[i].type, all[i].rank, all[i].dims, all[i].data);
}

void __wrap_session_run(call *c, arena *from, ort_session *session, const tensor *inputs,
                        size_t num_inputs, tensor *outputs, size_t num_outputs) {
  if (tell) tell_all(inputs, num_inputs, 0); /* before the run: outputs may take their place */
  __real_session_run(c, from, session, inputs, num_inputs, outputs, num_outputs);
  if (!tell) return;
  tell_all(outputs, num_outputs, 1);
  tell(NULL, 1, 0, 0, NULL, NULL);
}

/* ---- Prompts worded by the caller ---- */

static const char *const *wordings;

/* The texts of the next tokenizations, in order, ended by NULL; they stay the caller's. */
EXPORT void test_word(const char *const *texts) { wordings = texts; }

token_ids __real_tokenizer_encode(call *c, arena *to, const tokenizer *t, const char *text,
                                  size_t length, bool special, size_t most);
token_ids __wrap_tokenizer_encode(call *c, arena *to, const tokenizer *t, const char *text,
                                  size_t length, bool special, size_t most);

token_ids __wrap_tokenizer_encode(call *c, arena *to, const tokenizer *t, const char *text,
                                  size_t length, bool special, size_t most) {
  if (wordings && *wordings) {
    text = *wordings++;
    length = strlen(text);
  }
  return __real_tokenizer_encode(c, to, t, text, length, special, most);
}

/* ---- Parts ---- */

typedef struct arguments {
  mrt_pipeline *pipeline;
  const char *skeleton, *constraints;
  int32_t num_frames;
  double number;
  float *first, *second;
  const bool *contacts;
  const char *request, *folder;
  const mrt_generate_options *options;
  mrt_motion **motion;
  mrt_motions **motions;
} arguments;

static const mrt_skeleton *skeleton_of(call *c, const char *text) {
  const json *document =
      json_parse(c, &c->memory, text, strlen(text), MRT_BAD_BUNDLE, "skeleton");
  return skeleton_parse(c, &c->memory, document, "skeleton");
}

static void fill(call *c, void *p) {
  arguments *a = p;
  const bundle *b = &a->pipeline->bundle;
  bool is_ardy = a->pipeline->family == &ardy_family;
  motion_features f = features_make(b->skeleton, b->fps, is_ardy);
  constraints held = constraints_parse(c, a->constraints, strlen(a->constraints), "constraints",
                                       b->skeleton);
  constraints_check(c, held, a->num_frames);
  constraints_fill(c, held, &f, a->num_frames, is_ardy ? &ardy_conditions : find_compat("2026-03"), a->first,
                   a->second);
}

/* Observed motion, not normalised, and its mask: (T, D) each, of zeros at first. */
EXPORT int test_conditioning(mrt_pipeline *pipeline, const char *constraints, int32_t num_frames,
                             float *observed, float *mask) {
  arguments a = {.pipeline = pipeline, .constraints = constraints, .num_frames = num_frames,
                 .first = observed, .second = mask};
  return call_run(fill, &a);
}

static void load_clip(call *c, const arguments *a, int32_t joints, mat3 **local, vec3 **root) {
  size_t i;
  *local = TEMP(c, mat3, (size_t)a->num_frames * joints);
  *root = TEMP(c, vec3, a->num_frames);
  for (i = 0; i < (size_t)a->num_frames * joints; i++) (*local)[i] = mat_load(a->first + 9 * i);
  for (i = 0; i < (size_t)a->num_frames; i++) (*root)[i] = vec_load(a->second + 3 * i);
}

static void correct(call *c, void *p) {
  arguments *a = p;
  const mrt_skeleton *s = skeleton_of(c, a->skeleton);
  constraints held =
      constraints_parse(c, a->constraints, strlen(a->constraints), "constraints", s);
  correction_targets targets =
      constraints_targets(c, held, s, a->num_frames,
                          a->folder ? &ardy_targets : find_compat("2026-03"));
  mat3 *local;
  vec3 *root;
  size_t i;
  load_clip(c, a, s->num_joints, &local, &root);
  correct_motion(c, s, local, root, a->contacts, a->num_frames, &targets, a->number);
  for (i = 0; i < (size_t)a->num_frames * s->num_joints; i++) mat_store(a->first + 9 * i, local[i]);
  for (i = 0; i < (size_t)a->num_frames; i++) vec_store(a->second + 3 * i, root[i]);
}

/* Correct local rotations (T, J, 3, 3) and root positions (T, 3) in place. */
EXPORT int test_correct(const char *skeleton, const char *constraints, int32_t num_frames,
                        double root_margin, float *local, float *root, const bool *contacts) {
  arguments a = {.skeleton = skeleton, .constraints = constraints, .num_frames = num_frames,
                 .number = root_margin, .first = local, .second = root, .contacts = contacts};
  return call_run(correct, &a);
}

/* The same as ARDY has it. */
EXPORT int test_correct_ardy(const char *skeleton, const char *constraints, int32_t num_frames,
                             double root_margin, float *local, float *root,
                             const bool *contacts) {
  arguments a = {.skeleton = skeleton, .constraints = constraints, .num_frames = num_frames,
                 .number = root_margin, .first = local, .second = root, .contacts = contacts,
                 .folder = ""};
  return call_run(correct, &a);
}

static void make(call *c, void *p) {
  arguments *a = p;
  const mrt_skeleton *s = skeleton_of(c, a->skeleton);
  mrt_motions *list = motions_new(c, 1);
  mrt_motion *m = motions_add(c, list, 0, s, a->num_frames, a->number);
  mat3 *local;
  vec3 *root;
  load_clip(c, a, s->num_joints, &local, &root);
  motion_pose(c, m, local, root);
  *a->motion = motions_keep_first(list);
}

/* A motion of local rotations (T, J, 3, 3) and root positions (T, 3). */
EXPORT int test_motion(const char *skeleton, int32_t num_frames, double fps, float *local,
                       float *root, mrt_motion **motion) {
  arguments a = {.skeleton = skeleton, .num_frames = num_frames, .number = fps, .first = local,
                 .second = root, .motion = motion};
  return call_run(make, &a);
}

static void generate(call *c, void *p) {
  arguments *a = p;
  mrt_pipeline *pipeline = a->pipeline;
  compat shared = *find_compat("2026-03");
  request r = request_parse(c, a->request, a->folder, a->options, pipeline->family->name,
                            pipeline->family->splits_prompts);
  if (!r.num_frames) fail(c, MRT_BAD_INPUT, "the request of a test gives num_frames");
  shared.replayed_part = a->number;
  r.compat = &shared;
  *a->motions = motions_keep(pipeline->family->generate(c, pipeline, &r, r.seed));
}

/* mrt_generate_json with a share of the part before that a transition replays. */
EXPORT int test_generate(mrt_pipeline *pipeline, const char *request, const char *folder,
                         const mrt_generate_options *options, double replayed_part,
                         mrt_motions **out) {
  arguments a = {.pipeline = pipeline, .request = request, .folder = folder, .options = options,
                 .number = replayed_part, .motions = out};
  return call_run(generate, &a);
}

/* ---- ARDY ---- */

/* A window of a stream, its parts as c_library.py's mirror has them. */
typedef struct step {
  mrt_pipeline *pipeline;
  const float *frames; /* (num_frames, D) normalised that are there */
  int32_t num_frames, playhead;
  const char *constraints; /* or NULL */
  const float *embedding; /* (K, W) and which are tokens (K) */
  const uint8_t *embedding_mask;
  const float *noise;
  float place[2], heading; /* of a first frame, and then of the window */
  int32_t num_steps, replan_frames, history_frames, future_frames, num_weights;
  float weights[2];
  bool postprocess;
  double root_margin;
  int32_t span[4];
  float *made, *observed, *mask; /* (horizon, D), (window frames, D) */
} step;

static void make_step(call *c, void *p) {
  step *a = p;
  mrt_pipeline *pipeline = a->pipeline;
  ardy *m = pipeline->model;
  request r = request_make(c, NULL);
  ardy_run u = {c, &c->memory, &pipeline->bundle, m, &r};
  stream_settings how = {{a->num_weights, {a->weights[0], a->weights[1]}},
                         a->num_steps,
                         a->replan_frames,
                         a->history_frames,
                         a->future_frames,
                         a->postprocess,
                         a->root_margin};
  stream_buffer all = {(float *)a->frames, 0, a->num_frames};
  constraints held = {NULL, 0};
  size_t width = (size_t)m->features.width;
  stream_window w = {0};
  float *text = TEMP(c, float, m->num_text_tokens * 2 * m->hidden_width);
  bool *mask = TEMP(c, bool, m->num_text_tokens);
  tokens embedded;
  ardy_load_graphs(c, pipeline, m);
  embedded = tokens_given(c, a->embedding, a->embedding_mask, 1, m->num_text_tokens, m->text_width,
                          m->num_text_tokens);
  ardy_embed(&u, &embedded, 0, text, mask);
  if (a->constraints)
    held = constraints_parse(c, a->constraints, strlen(a->constraints), "constraints",
                             m->features.skeleton);
  w.span = stream_plan(m, &all, a->playhead, held, &how);
  w.inside = constraints_crop(c, held, w.span.last_kept + 1, w.span.start + w.span.num_frames);
  w.history = a->frames + (size_t)w.span.start * width;
  w.text = text;
  w.text_mask = mask;
  w.noise = a->noise;
  memcpy(w.place, a->place, sizeof w.place);
  w.heading = a->heading;
  w.how = &how;
  w.of = 1;
  memcpy(a->made, stream_make(&u, &w), (size_t)m->horizon * width * sizeof(float));
  memcpy(a->place, w.place, sizeof w.place);
  a->heading = w.heading;
  a->span[0] = w.span.start;
  a->span[1] = w.span.last_kept;
  a->span[2] = w.span.history;
  a->span[3] = w.span.num_frames;
  if (!w.mask) return;
  memcpy(a->observed, w.observed, (size_t)w.span.num_frames * width * sizeof(float));
  memcpy(a->mask, w.mask, (size_t)w.span.num_frames * width * sizeof(float));
}

EXPORT int test_stream_step(step *a) { return call_run(make_step, a); }
