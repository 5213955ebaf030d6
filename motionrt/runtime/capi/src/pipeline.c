#include "pipeline.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_BACKENDS 16

static const family *const families[] = {&kimodo_family, &motiongpt3_family, &ardy_family};
#define NUM_FAMILIES (sizeof families / sizeof *families)

/* ---- Loading ---- */

typedef struct load_arguments {
  const char *folder;
  mrt_file_fn file;
  void *user;
  const mrt_load_options *options;
  mrt_pipeline **out;
} load_arguments;

static void free_pipeline(void *what) { mrt_pipeline_free(what); }

static void take_runner(call *c, mrt_pipeline *p, const mrt_load_options *options) {
  const mrt_runner *given = options->runner;
  if (given->struct_size < sizeof *given || given->struct_size > 4096 || !given->open ||
      !given->run || !given->close)
    fail(c, MRT_BAD_ARGUMENT, "runner: call mrt_runner_init, and set open, run and close");
  if (options->backend)
    fail(c, MRT_BAD_ARGUMENT, "backend \"%s\": a runner runs the graphs, so give none",
         options->backend);
  p->runner = *given;
  p->session.runner = &p->runner;
  p->session.backend = "runner";
}

static void load(call *c, void *arguments) {
  load_arguments *a = arguments;
  mrt_load_options options;
  mrt_pipeline *p;
  struct arena_cleanup *guard;
  size_t i;
  if (!a->out) fail(c, MRT_BAD_ARGUMENT, "out is NULL");
  if (!a->folder && !a->file) fail(c, MRT_BAD_ARGUMENT, "folder or file callback is NULL");
  mrt_load_options_init(&options);
  if (a->options) {
    size_t size = a->options->struct_size;
    if (size < sizeof size || size > 4096)
      fail(c, MRT_BAD_ARGUMENT, "options: call mrt_load_options_init first");
    memcpy(&options, a->options, size < sizeof options ? size : sizeof options);
  }
  if (options.threads < 0 || options.threads > 1024)
    fail(c, MRT_BAD_ARGUMENT, "threads: must be from 0 to 1024");
  p = calloc(1, sizeof *p);
  if (!p) fail(c, MRT_NO_MEMORY, "out of memory");
  guard = arena_defer(c, &c->memory, free_pipeline, p);
  lock_make(&p->busy.guard);
  if (a->folder) p->bundle.folder = arena_copy(c, &p->keep, a->folder, strlen(a->folder));
  p->bundle.file = a->file;
  p->bundle.user = a->user;
  p->bundle.check_hashes = options.check_hashes;
  bundle_open(c, &p->keep, &p->bundle);
  for (i = 0; i < NUM_FAMILIES; i++)
    if (!strcmp(families[i]->name, p->bundle.family)) p->family = families[i];
  if (!p->family)
    fail(c, MRT_BAD_BUNDLE,
         "%s: family %s is unknown to this library, which runs kimodo, motiongpt3 and ardy; use "
         "the Python package, or a newer library",
         p->bundle.place, p->bundle.family);
  p->session.threads = options.threads;
  if (options.runner) {
    take_runner(c, p, &options);
  } else {
    ort_load(c, options.onnxruntime);
    p->session.backend = options.backend && strcmp(options.backend, "auto")
                             ? arena_copy(c, &p->keep, options.backend, strlen(options.backend))
                             : "cpu";
    ort_check_backend(c, p->session.backend);
  }
  p->model = p->family->open(c, p);
  cleanup_disarm(guard);
  *a->out = p;
}

mrt_status mrt_pipeline_load(const char *folder, const mrt_load_options *options,
                             mrt_pipeline **out) {
  load_arguments arguments = {folder, NULL, NULL, options, out};
  if (out) *out = NULL;
  return call_run(load, &arguments);
}

mrt_status mrt_pipeline_load_files(mrt_file_fn file, void *user, const mrt_load_options *options,
                                   mrt_pipeline **out) {
  load_arguments arguments = {NULL, file, user, options, out};
  if (out) *out = NULL;
  return call_run(load, &arguments);
}

void mrt_pipeline_free(mrt_pipeline *p) {
  if (!p) return;
  arena_free(&p->keep);
  lock_end(&p->busy.guard);
  free(p);
}

/* ---- Asking ---- */

static void get_info(call *c, void *arguments) {
  void **given = arguments;
  const mrt_pipeline *p = given[0];
  mrt_pipeline_info *out = given[1], info;
  size_t size;
  int i;
  if (!p || !out) fail(c, MRT_BAD_ARGUMENT, "pipeline or info is NULL");
  size = out->struct_size;
  if (size < sizeof size) fail(c, MRT_BAD_ARGUMENT, "info: call mrt_pipeline_info_init first");
  mrt_pipeline_info_init(&info);
  info.struct_size = size;
  info.family = p->family->name;
  info.name = p->bundle.name;
  info.backend = p->session.backend;
  info.fps = p->bundle.fps;
  info.max_frames = p->bundle.max_frames;
  info.advised_seconds = p->bundle.advised_seconds;
  info.num_features = p->family->num_features(p);
  info.text_width = p->family->text_width(p);
  info.has_text_encoder = p->family->has_text_encoder(p);
  info.num_book_prompts = p->family->num_book_prompts(p);
  info.takes_sequences = p->family->takes_sequences;
  info.max_text_tokens = p->family->max_text_tokens(p);
  info.streams = p->family->streams;
  for (i = 0; p->family->graphs[i]; i++)
    info.num_bytes += bundle_graph_bytes(&p->bundle, p->family->graphs[i]);
  memcpy(out, &info, size < sizeof info ? size : sizeof info);
}

mrt_status mrt_pipeline_get_info(const mrt_pipeline *pipeline, mrt_pipeline_info *info) {
  const void *given[] = {pipeline, info};
  return call_run(get_info, given);
}

const mrt_skeleton *mrt_pipeline_skeleton(const mrt_pipeline *p) {
  return p ? p->bundle.output_skeleton : NULL;
}

const char *mrt_pipeline_book_prompt(const mrt_pipeline *p, int32_t index) {
  return p ? p->family->book_prompt(p, index) : NULL;
}

const char *mrt_backend_name(int32_t index) { return index < 0 ? NULL : ort_backend(index); }

/* ---- Generating ---- */

typedef struct generate_arguments {
  mrt_pipeline *pipeline;
  const char *const *prompts;
  const double *seconds;
  int32_t num_prompts;
  bool sequence;
  const char *document, *folder; /* instead of prompts */
  const mrt_generate_options *options;
  mrt_motion **motion; /* one of these is set */
  mrt_motions **motions;
} generate_arguments;

static void resolve_frames(call *c, const mrt_pipeline *p, request *r) {
  int32_t i, most = p->family->max_frames(p, r);
  bool given = r->num_frames != NULL;
  if (!given) r->num_frames = TEMP(c, int32_t, r->num_prompts);
  for (i = 0; i < r->num_prompts; i++) {
    double frames = given ? r->num_frames[i] : r->seconds[i] * p->bundle.fps;
    if (!given && !(isfinite(r->seconds[i]) && r->seconds[i] > 0))
      fail(c, MRT_BAD_INPUT, "duration %g s: must be a finite number above 0", r->seconds[i]);
    if (frames < 1)
      fail(c, MRT_BAD_INPUT, "duration %g s: no whole frame at %g fps", r->seconds[i],
           p->bundle.fps);
    if (frames > most)
      fail(c, MRT_BAD_INPUT, "%.0f frames at %g fps, this model allows %d (%.1f s)", frames,
           p->bundle.fps, most, most / p->bundle.fps);
    r->num_frames[i] = (int32_t)frames;
  }
}

uint32_t draw_seed(void) {
  /* Not a secret: only different from one call to the next. */
  static uint64_t counter;
  static lock guard = LOCK_INIT;
  uint64_t x;
  lock_take(&guard);
  x = counter += 0x9E3779B97F4A7C15u;
  lock_give(&guard);
  x += (uint64_t)time(NULL) * 0xD1B54A32D192ED03u + (uint64_t)clock();
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return (uint32_t)(x ^ x >> 31);
}

/* Every sample by itself, with the seed that follows: the motions of single runs. */
static mrt_motions *generate_each(call *c, mrt_pipeline *p, const request *r, uint32_t seed) {
  int32_t count = request_num_motions(r), sample, i;
  mrt_motions *list = motions_new(c, count * r->num_samples);
  request alone = *r;
  if (r->has_seed && (uint64_t)seed + r->num_samples - 1 > UINT32_MAX)
    fail(c, MRT_BAD_INPUT, "seed %lu and %d samples: the last one would be beyond 4294967295",
         (unsigned long)seed, r->num_samples);
  alone.num_samples = 1;
  alone.sample_seeds = false;
  for (sample = 0; sample < r->num_samples; sample++) {
    mrt_motions *made = p->family->generate(c, p, &alone, seed + (uint32_t)sample);
    for (i = 0; i < count; i++) {
      mrt_motion *m = made->items[i];
      made->items[i] = NULL;
      list->items[i * r->num_samples + sample] = m;
      m->sample = sample;
    }
  }
  return list;
}

static void run(call *c, const generate_arguments *a) {
  mrt_pipeline *p = a->pipeline;
  request r;
  mrt_motions *made;
  uint32_t seed;
  int32_t i;
  if (a->document) {
    r = request_parse(c, a->document, a->folder, a->options, p->family->name,
                      p->family->splits_prompts);
  } else {
    double seconds = 5;
    int32_t num_frames = 0;
    r = request_make(c, a->options);
    if (a->options) { /* read as far as the caller's struct goes */
      mrt_generate_options o;
      size_t size = a->options->struct_size;
      mrt_generate_options_init(&o);
      memcpy(&o, a->options, size < sizeof o ? size : sizeof o);
      seconds = o.seconds;
      num_frames = o.num_frames;
    }
    r.num_prompts = a->num_prompts;
    r.prompts = TEMP(c, const char *, a->num_prompts);
    r.seconds = TEMP(c, double, a->num_prompts);
    if (num_frames && !a->seconds) r.num_frames = TEMP(c, int32_t, a->num_prompts);
    for (i = 0; i < a->num_prompts; i++) {
      if (!a->prompts[i]) fail(c, MRT_BAD_ARGUMENT, "prompt %d is NULL", i);
      r.prompts[i] = a->prompts[i];
      r.seconds[i] = a->seconds ? a->seconds[i] : seconds;
      if (r.num_frames) r.num_frames[i] = num_frames;
    }
    r.sequence = a->sequence;
  }
  if (r.sequence && r.num_prompts > 1 && !p->family->takes_sequences)
    fail(c, MRT_BAD_INPUT, "%s makes a motion of one prompt, %d are given as parts of one",
         p->family->name, r.num_prompts);
  if (!p->family->takes_constraints && (r.num_constraints || r.constraints_document))
    fail(c, MRT_BAD_INPUT, "%s takes no constraints", p->family->name);
  if (r.embeddings && !p->family->text_width(p))
    fail(c, MRT_BAD_INPUT, "%s takes no embeddings", p->family->name);
  if (a->motion && r.num_samples != 1)
    fail(c, MRT_BAD_INPUT, "mrt_generate makes one motion; mrt_generate_many makes %d",
         r.num_samples);
  resolve_frames(c, p, &r);
  seed = r.has_seed ? r.seed : draw_seed();
  if (r.sample_seeds && !r.has_seed) seed %= UINT32_MAX - (uint32_t)r.num_samples + 2;
  made = r.sample_seeds ? generate_each(c, p, &r, seed) : p->family->generate(c, p, &r, seed);
  if (a->motion)
    *a->motion = motions_keep_first(made);
  else
    *a->motions = motions_keep(made);
}

static void give_flag(void *what) { flag_give(what); }

void pipeline_hold(call *c, mrt_pipeline *p) {
  if (!flag_take(&p->busy))
    fail(c, MRT_BUSY, "another thread is using this pipeline; wait for it, or load a second one");
  arena_defer(c, &c->memory, give_flag, &p->busy);
}

static void generate(call *c, void *arguments) {
  generate_arguments *a = arguments;
  if (!a->pipeline) fail(c, MRT_BAD_ARGUMENT, "pipeline is NULL");
  if (!a->motion && !a->motions) fail(c, MRT_BAD_ARGUMENT, "out is NULL");
  if (!a->document && (!a->prompts || a->num_prompts < 1))
    fail(c, MRT_BAD_ARGUMENT, "no prompt given");
  pipeline_hold(c, a->pipeline);
  run(c, a);
}

mrt_status mrt_generate(mrt_pipeline *pipeline, const char *prompt,
                        const mrt_generate_options *options, mrt_motion **out) {
  generate_arguments a = {0};
  a.pipeline = pipeline;
  a.prompts = &prompt;
  a.num_prompts = prompt ? 1 : 0;
  a.options = options;
  a.motion = out;
  if (out) *out = NULL;
  return call_run(generate, &a);
}

mrt_status mrt_generate_many(mrt_pipeline *pipeline, const char *const *prompts,
                             int32_t num_prompts, const mrt_generate_options *options,
                             mrt_motions **out) {
  generate_arguments a = {0};
  a.pipeline = pipeline;
  a.prompts = prompts;
  a.num_prompts = num_prompts;
  a.options = options;
  a.motions = out;
  if (out) *out = NULL;
  return call_run(generate, &a);
}

mrt_status mrt_generate_sequence(mrt_pipeline *pipeline, const char *const *prompts,
                                 const double *seconds, int32_t num_prompts,
                                 const mrt_generate_options *options, mrt_motions **out) {
  generate_arguments a = {0};
  a.pipeline = pipeline;
  a.prompts = prompts;
  a.seconds = seconds;
  a.num_prompts = num_prompts;
  a.sequence = true;
  a.options = options;
  a.motions = out;
  if (out) *out = NULL;
  return call_run(generate, &a);
}

mrt_status mrt_generate_json(mrt_pipeline *pipeline, const char *request, const char *folder,
                             const mrt_generate_options *options, mrt_motions **out) {
  generate_arguments a = {0};
  a.pipeline = pipeline;
  a.document = request ? request : "";
  a.folder = folder;
  a.options = options;
  a.motions = out;
  if (out) *out = NULL;
  return call_run(generate, &a);
}

typedef struct embed_arguments {
  mrt_pipeline *pipeline;
  const char *prompt;
  float *embedding;
  int32_t capacity, *num_tokens; /* NULL: it must be one, and a blank prompt is zeros */
} embed_arguments;

static void embed(call *c, void *arguments) {
  embed_arguments *a = arguments;
  int32_t width, count;
  const float *found;
  if (!a->pipeline || !a->prompt || !a->embedding)
    fail(c, MRT_BAD_ARGUMENT, "pipeline, prompt or embedding is NULL");
  width = a->pipeline->family->text_width(a->pipeline);
  if (!width) fail(c, MRT_BAD_INPUT, "%s takes no embeddings", a->pipeline->family->name);
  pipeline_hold(c, a->pipeline);
  found = a->pipeline->family->embed(c, a->pipeline, a->prompt, &count);
  if (count > 1 && !a->num_tokens)
    fail(c, MRT_BAD_INPUT, "the embedding has %d tokens; mrt_embed_tokens gives them", count);
  if (!count && !a->num_tokens) found = TEMP(c, float, width), count = 1;
  if (a->capacity / width < count)
    fail(c, MRT_BAD_ARGUMENT, "embedding has room for %d floats, %lld are needed", a->capacity,
         (long long)count * width);
  if (count) memcpy(a->embedding, found, (size_t)count * width * sizeof(float));
  if (a->num_tokens) *a->num_tokens = count;
}

mrt_status mrt_embed(mrt_pipeline *pipeline, const char *prompt, float *embedding,
                     int32_t capacity) {
  embed_arguments arguments = {pipeline, prompt, embedding, capacity, NULL};
  return call_run(embed, &arguments);
}

mrt_status mrt_embed_tokens(mrt_pipeline *pipeline, const char *prompt, float *embedding,
                            int32_t capacity, int32_t *num_tokens) {
  int32_t count = 0; /* what is written if the caller does not ask */
  embed_arguments arguments = {pipeline, prompt, embedding, capacity,
                               num_tokens ? num_tokens : &count};
  *arguments.num_tokens = 0;
  return call_run(embed, &arguments);
}

/* ---- The library ---- */

#ifndef MRT_VERSION
#define MRT_VERSION "0.1.0"
#endif

uint32_t mrt_abi_version(void) { return MRT_ABI_VERSION; }
const char *mrt_version(void) { return MRT_VERSION; }

const char *mrt_status_name(mrt_status status) {
  static const char *const names[] = {"MRT_OK",         "MRT_BAD_ARGUMENT", "MRT_BAD_INPUT",
                                      "MRT_BAD_BUNDLE", "MRT_NO_BACKEND",   "MRT_NO_MEMORY",
                                      "MRT_FILE_ERROR", "MRT_CANCELLED",    "MRT_BUSY"};
  return status <= 0 && status >= MRT_BUSY ? names[-status] : "unknown status";
}
