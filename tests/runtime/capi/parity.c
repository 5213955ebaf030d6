/* What the parity tests reach below the public functions. Linked with --wrap, so that they see what
 * goes through each graph, and word prompts themselves. */
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
  motion_features f = features_make(b->skeleton, b->fps);
  constraints held = constraints_parse(c, a->constraints, strlen(a->constraints), "constraints",
                                       b->skeleton);
  constraints_check(c, held, a->num_frames);
  constraints_fill(c, held, &f, a->num_frames, find_compat("2026-03"), a->first, a->second);
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
      constraints_targets(c, held, s, a->num_frames, find_compat("2026-03"));
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
                            pipeline->family->takes_sequences);
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
