/* What tests call below the public functions. */
#include "chaining.h"
#include "json.h"
#include "prompt.h"
#include "root_smoother.h"
#include "schedule.h"
#include "noise.h"
#include "sha256.h"
#include "stature.h"
#include "tokenizer.h"

#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static arena kept;
static tokenizer *loaded;

typedef struct arguments {
  const char *text;
  size_t length, most;
  int special;
  int32_t *ids;
  long count;
  char *out;
  size_t room;
  const char *solver;
  int32_t base, steps;
  int64_t *timesteps;
  float *coefficients;
  const float *root;
  float *smooth;
} arguments;

static void load(call *c, void *p) {
  arguments *a = p;
  arena_free(&kept);
  loaded = tokenizer_parse(c, &kept, a->text, a->length, "tokenizer.json");
}

static void encode(call *c, void *p) {
  arguments *a = p;
  token_ids found =
      tokenizer_encode(c, &c->memory, loaded, a->text, a->length, a->special != 0, a->most);
  a->count = (long)found.count;
  if (found.count > a->room) found.count = a->room;
  if (found.count) memcpy(a->ids, found.ids, found.count * sizeof *a->ids);
}

static void clean(call *c, void *p) {
  arguments *a = p;
  const char *text = clean_prompt(c, &c->memory, a->text);
  if (strlen(text) >= a->room) fail(c, MRT_NO_MEMORY, "no room");
  strcpy(a->out, text);
}

static void make_schedule(call *c, void *p) {
  arguments *a = p;
  schedule made = cosine_schedule(c, &c->memory, a->base, a->steps, a->solver);
  memcpy(a->timesteps, made.timesteps, (size_t)a->steps * sizeof *a->timesteps);
  memcpy(a->coefficients, made.coefficients, 3 * (size_t)a->steps * sizeof *a->coefficients);
}

static void smooth(call *c, void *p) {
  arguments *a = p;
  smooth_root(c, a->root, a->steps, a->smooth);
}

EXPORT int test_tokenizer_load(const char *text, size_t length) {
  arguments a = {.text = text, .length = length};
  return call_run(load, &a);
}

/* The number of ids, or a negative status. */
EXPORT long test_tokenizer_encode(const char *text, size_t length, int special, size_t most,
                                  int32_t *ids, size_t room) {
  arguments a = {.text = text, .length = length, .special = special, .most = most, .ids = ids,
                 .room = room};
  int status = call_run(encode, &a);
  return status ? status : a.count;
}

EXPORT int test_clean_prompt(const char *text, char *out, size_t room) {
  arguments a = {.text = text, .out = out, .room = room};
  return call_run(clean, &a);
}

EXPORT int test_schedule(const char *solver, int32_t base, int32_t steps, int64_t *timesteps,
                         float *coefficients) {
  arguments a = {.solver = solver, .base = base, .steps = steps, .timesteps = timesteps,
                 .coefficients = coefficients};
  return call_run(make_schedule, &a);
}

EXPORT int test_smooth_root(const float *root, int32_t num_frames, float *result) {
  arguments a = {.root = root, .steps = num_frames, .smooth = result};
  return call_run(smooth, &a);
}

EXPORT void test_noise(uint32_t seed, const size_t *counts, size_t num_counts, float *values) {
  noise n;
  size_t i;
  noise_seed(&n, seed);
  for (i = 0; i < num_counts; i++) {
    noise_normal(&n, values, counts[i]);
    values += counts[i];
  }
}

/* In parts of some length. */
EXPORT void test_sha256(const char *bytes, size_t count, size_t part, int plain, char *hex) {
  sha256 hash;
  sha256_begin(&hash);
  if (plain) hash.blocks = sha256_plain_blocks;
  for (; count > part; bytes += part, count -= part) sha256_add(&hash, bytes, part);
  sha256_add(&hash, bytes, count);
  sha256_end(&hash, hex);
}

typedef struct chaining {
  transitions how;
  const int32_t *num_frames;
  int32_t num_prompts, num_previous;
  chain parts;
  constraint path;
  int32_t start;
  const float *place;
  int32_t *frames, *prompts, count, room;
  float *xz;
} chaining;

static void split(call *c, void *p) {
  chaining *a = p;
  a->parts =
      chain_prompts(c, &a->how, a->num_frames, a->num_prompts, a->num_previous);
  a->count = a->parts.num_parts;
  if (a->count > a->room) fail(c, MRT_NO_MEMORY, "no room");
  memcpy(a->frames, a->parts.num_frames, (size_t)a->count * sizeof *a->frames);
  memcpy(a->prompts, a->parts.prompts, (size_t)a->count * sizeof *a->prompts);
}

static void share(call *c, void *p) {
  chaining *a = p;
  constraints given = {&a->path, 1};
  constraints found = chain_waypoints(c, &a->parts, given, a->how.compat, a->num_previous,
                                      a->start, a->place);
  if (!found.count) return;
  a->count = found.items[0].num_frames;
  memcpy(a->frames, found.items[0].frames, (size_t)a->count * sizeof *a->frames);
  memcpy(a->xz, found.items[0].smooth_root, 2 * (size_t)a->count * sizeof *a->xz);
}

/* The number of parts, their lengths and prompts; or a negative status. */
EXPORT int32_t test_chain(const int32_t *num_frames, int32_t num_prompts, int32_t longest,
                          int32_t num_transition_frames, int32_t included, const char *compat,
                          int32_t num_previous, int32_t *lengths, int32_t *prompts, int32_t room) {
  chaining a = {.num_frames = num_frames, .num_prompts = num_prompts, .num_previous = num_previous,
                .frames = lengths, .prompts = prompts, .room = room};
  int status;
  a.how.num_frames = num_transition_frames;
  a.how.compat = find_compat(compat);
  a.how.longest = longest;
  a.how.included = included != 0;
  status = call_run(split, &a);
  return status ? status : a.count;
}

/* The number of waypoints that are added to a path, their frames and places; or a status. */
EXPORT int32_t test_waypoints(int32_t *lengths, int32_t *prompts, int32_t num_parts,
                              int32_t num_previous, int32_t *path_frames, float *path_xz,
                              int32_t path_count, int32_t start, const float *place,
                              int32_t *frames, float *xz) {
  chaining a = {.num_previous = num_previous, .start = start, .place = place, .frames = frames,
                .xz = xz};
  int status;
  a.how.compat = find_compat("latest");
  a.parts.num_parts = num_parts;
  a.parts.num_frames = lengths;
  a.parts.prompts = prompts;
  a.path.kind = MRT_ROOT_PATH;
  a.path.num_frames = path_count;
  a.path.frames = path_frames;
  a.path.smooth_root = path_xz;
  a.path.columns = 2;
  status = call_run(share, &a);
  return status ? status : a.count;
}

typedef struct skeleton_arguments {
  const char *text;
  size_t length;
  const mrt_skeleton *made;
} skeleton_arguments;

static arena kept_skeletons;

static void make_skeleton(call *c, void *p) {
  skeleton_arguments *a = p;
  const json *document =
      json_parse(c, &c->memory, a->text, a->length, MRT_BAD_INPUT, "skeleton");
  a->made = skeleton_parse(c, &kept_skeletons, document, "skeleton");
}

/* A skeleton of a manifest's JSON, kept for ever; NULL if it is none. */
EXPORT const mrt_skeleton *test_skeleton(const char *text, size_t length) {
  skeleton_arguments a = {text, length, NULL};
  return call_run(make_skeleton, &a) ? NULL : a.made;
}

EXPORT double test_body_scale(const mrt_skeleton *skeleton) { return body_scale(skeleton); }
