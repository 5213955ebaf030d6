/* What tests call below the public functions. */
#include "prompt.h"
#include "root_smoother.h"
#include "schedule.h"
#include "noise.h"
#include "sha256.h"
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

EXPORT void test_sha256(const char *bytes, size_t count, char *hex) {
  sha256_hex(bytes, count, hex);
}
