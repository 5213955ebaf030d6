#include "fuzz_targets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ardy_session.h"
#include "constraints.h"
#include "pipeline.h"
#include "prompt.h"
#include "request.h"
#include "text.h"
#include "tokenizer.h"

#define LARGEST_FILE ((size_t)4 << 20)
#define FRAMES 30

/* ---- Targets ---- */

static bytes manifest; /* the bundle's own */
static const char *bundle_folder;
static mrt_pipeline known; /* what its manifest says */
static tokenizer *known_tokenizer;
static bytes input; /* of exactly its length, with a zero behind where a string is taken */

bytes read_all(const char *path) {
  FILE *file = fopen(path, "rb");
  bytes b = {NULL, 0};
  if (!file) {
    perror(path);
    exit(2);
  }
  b.at = malloc(LARGEST_FILE);
  b.length = fread(b.at, 1, LARGEST_FILE, file);
  fclose(file);
  return b;
}

static bytes of_bundle(const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", bundle_folder, name);
  return read_all(path);
}

/* Hands out the input as the manifest, and the bundle's statistics. */
static const void *hand_out(void *user, const char *name, size_t *num_bytes) {
  static bytes statistics;
  if (!strcmp(name, "manifest.json")) return *num_bytes = ((bytes *)user)->length, ((bytes *)user)->at;
  if (strcmp(name, "statistics.safetensors")) return NULL;
  if (!statistics.at) statistics = of_bundle("statistics.safetensors");
  return *num_bytes = statistics.length, statistics.at;
}

static void open_bundle(call *c, mrt_pipeline *p, bytes *from) {
  const family *families[] = {&kimodo_family, &motiongpt3_family, &ardy_family};
  int i;
  p->bundle.file = hand_out;
  p->bundle.user = from;
  bundle_open(c, &p->keep, &p->bundle);
  for (i = 0; i < 3; i++)
    if (!strcmp(families[i]->name, p->bundle.family)) p->family = families[i];
  if (!p->family) fail(c, MRT_BAD_BUNDLE, "unknown family");
  p->session.backend = "cpu";
  p->model = p->family->open(c, p);
}

static void end_state(void *what) { state_end(what); }
static void release(void *what) { arena_free(what); }

static void run_manifest(call *c, void *unused) {
  mrt_pipeline *p = TEMP(c, mrt_pipeline, 1);
  mrt_pipeline_info info;
  (void)unused;
  arena_defer(c, &c->memory, release, &p->keep);
  open_bundle(c, p, &input);
  mrt_pipeline_info_init(&info);
  mrt_pipeline_get_info(p, &info);
}

static void run_statistics(call *c, void *unused) {
  named_bytes file = {"statistics.safetensors", input.at, input.length};
  array found = safetensors_find(c, &c->memory, file, "mean");
  volatile float last = 0; /* each is read */
  size_t count = found.values ? 1 : 0, i;
  int k;
  (void)unused;
  for (k = 0; k < found.rank && found.values; k++) count *= (size_t)found.dims[k];
  for (i = 0; i < count; i++) last = found.values[i];
  (void)last;
}

static const void *hand_out_input(void *user, const char *name, size_t *num_bytes) {
  (void)user, (void)name;
  return *num_bytes = input.length, input.at;
}

static void run_book(call *c, void *unused) {
  const char *manifest = arena_print(
      c, &c->memory, "{\"text\":{\"prompt_book\":\"book\"},\"files\":{\"book\":{\"size\":%zu}}}",
      input.length);
  const json *document =
      json_parse(c, &c->memory, manifest, strlen(manifest), MRT_BAD_BUNDLE, "manifest");
  bundle b = {.place = "the bundle", .file = hand_out_input};
  volatile float last = 0; /* each is read */
  text_sources *t;
  int32_t i, k, count;
  (void)unused;
  b.text = json_get(document, "text");
  b.files = json_get(document, "files");
  t = text_open(c, &c->memory, &b, NULL, clean_prompt);
  for (i = 0; i < text_num_book_prompts(t); i++) {
    const float *found = text_tokens(c, t, text_book_prompt(t, i), 4, 3, &count);
    for (k = 0; k < 4 * count; k++) last = found[k];
  }
  (void)last;
}

static void run_tokenizer(call *c, void *unused) {
  static const char *const texts[] = {"", "a person walks, then WAVES 123 times!",
                                      "na\xc3\xafve \xe4\xb8\xad\xf0\x9f\x98\x80 \xff<s>[CLS] \n\t x"};
  const tokenizer *t = tokenizer_parse(c, &c->memory, input.at, input.length, "tokenizer.json");
  size_t i;
  (void)unused;
  for (i = 0; i < 6; i++)
    tokenizer_encode(c, &c->memory, t, texts[i % 3], strlen(texts[i % 3]), i > 2, i == 4 ? 3 : 0);
}

static void run_request(call *c, void *family) {
  request r = request_parse(c, input.at, "/nonexistent", NULL, family, !strcmp(family, "kimodo"));
  if (r.constraints_document)
    constraints_read(c, r.constraints_document, r.constraints_place, known.bundle.skeleton);
}

static void run_constraints(call *c, void *revision) {
  const mrt_skeleton *s = known.bundle.skeleton;
  motion_features f = features_make(s, 30, 0);
  const compat *compat = find_compat(revision);
  constraints held = constraints_parse(c, input.at, input.length, "constraints", s);
  constraints_check(c, held, FRAMES);
  constraints_fill(c, held, &f, FRAMES, compat, TEMP(c, float, FRAMES *f.width),
                   TEMP(c, float, FRAMES *f.width));
  constraints_targets(c, held, s, FRAMES, compat);
  constraints_crop(c, held, 3, FRAMES / 2);
}

static void run_prompt(call *c, void *unused) {
  char *clean = clean_prompt(c, &c->memory, input.at);
  int32_t count;
  (void)unused;
  split_prompt(c, &c->memory, input.at, &count);
  tokenizer_encode(c, &c->memory, known_tokenizer, clean, strlen(clean), true, 77);
  tokenizer_encode(c, &c->memory, known_tokenizer, input.at, input.length, false, 0);
}

static bool swallow(void *user, const void *at, size_t num_bytes) {
  (void)user, (void)at, (void)num_bytes;
  return true;
}

/* A motion of the input's numbers, finished and written as its first bytes say. */
static void run_finish(call *c, void *unused) {
  static const double rates[] = {30, 20, 60, 25, 120}; /* to what takes long there is no end */
  static const double values[] = {0, 0.5, 1, 2, 0.1, 1.3, 24, 13.7, -1, 1e9, 1e-9, NAN, INFINITY};
  enum { HEAD = 10, NUM_VALUES = sizeof values / sizeof *values };
  const mrt_skeleton *s = known.bundle.skeleton;
  unsigned char head[HEAD] = {0};
  size_t most = input.length < HEAD ? input.length : HEAD, left = input.length - most, at, i, count;
  const char *body = input.at + most;
  mrt_motion_arrays arrays;
  mrt_finish_options options;
  mrt_loop_info info;
  mrt_save_options saving;
  mrt_motion *motion, *made;
  float *numbers;
  uint8_t *contacts;
  (void)unused;
  memcpy(head, input.at, most);
  mrt_motion_arrays_init(&arrays);
  mrt_finish_options_init(&options);
  mrt_loop_info_init(&info);
  mrt_save_options_init(&saving);
  arrays.num_frames = head[2] % 48;
  arrays.fps = rates[head[3] % 5];
  count = (size_t)arrays.num_frames * (3 + 4 * (size_t)s->num_joints);
  numbers = TEMP(c, float, count + 1);
  contacts = TEMP(c, uint8_t, 4 * (size_t)arrays.num_frames + 1);
  for (i = 0; i < count && left; i++) {
    at = i * (head[0] & 1 ? 4 : 1) % left;
    if (head[0] & 1 && at + 4 <= left) memcpy(numbers + i, body + at, 4);
    else numbers[i] = (float)(signed char)body[at] / 32;
  }
  for (i = 0; i < 4 * (size_t)arrays.num_frames && left; i++) contacts[i] = body[i % left] & 1;
  arrays.root_positions = numbers;
  arrays.local_rotations = numbers + 3 * (size_t)arrays.num_frames;
  if (head[0] & 2) arrays.foot_contacts = contacts, arrays.num_contacts = 4;
  if (head[0] & 4) arrays.smooth_root = arrays.heading = numbers;
  options.trim = head[0] & 8;
  options.mirror = head[0] & 16;
  options.loop = head[0] & 32;
  options.from_rest = head[0] & 64;
  options.to_rest = head[0] & 128;
  options.start_at_origin = head[1] & 1;
  options.face = head[1] & 2;
  options.in_place = head[1] & 4;
  if (head[1] & 8) options.speed = values[head[4] % NUM_VALUES];
  if (head[1] & 16) options.fps = values[head[5] % NUM_VALUES];
  if (head[1] & 32) options.loop_seconds = values[head[6] % NUM_VALUES];
  if (head[1] & 64) options.pose_seconds = values[head[7] % NUM_VALUES] / 10;
  options.face_rad = values[head[8] % NUM_VALUES];
  if (head[1] & 128) options.root_smoothing = values[head[9] % NUM_VALUES];
  if (mrt_motion_make(s, &arrays, &motion)) return;
  if (!mrt_motion_finish(motion, &options, &info, &made)) {
    mrt_motion *joined;
    if (!mrt_motion_blend(motion, made, options.pose_seconds, &joined)) mrt_motion_free(joined);
    mrt_motion_root_path(made, options.root_smoothing, NULL, NULL);
    saving.root_bone = head[1] & 1;
    saving.root_smoothing = options.root_smoothing;
    saving.bvh_up = (mrt_axis)(head[8] % 8);
    saving.bvh_forward = (mrt_axis)(head[9] % 8);
    saving.bvh_scale = values[head[7] % NUM_VALUES];
    mrt_motion_encode_as(made, head[2] & 64 ? "bvh" : "glb", &saving, swallow, NULL);
    mrt_motion_free(made);
  }
  mrt_motion_free(motion);
}

/* A snapshot for a model without graphs: its prompts are blank or refused, its frames of few features. */
static void run_snapshot(call *c, void *unused) {
  static const float ones[5] = {1, 1, 1, 1, 1};
  enum { TEXT = 4 };
  ardy *m = TEMP(c, ardy, 1);
  mrt_pipeline *p = TEMP(c, mrt_pipeline, 1);
  mrt_stream *s = TEMP(c, mrt_stream, 1);
  stream_state *state = TEMP(c, stream_state, 1);
  buffer out = {&c->memory, NULL, 0, 0};
  json *none = TEMP(c, json, 1);
  (void)unused;
  none->kind = JSON_OBJECT;
  p->bundle = known.bundle;
  p->bundle.name = "toy";
  p->bundle.text = p->bundle.graphs = none;
  m->size = 4, m->horizon = 8, m->num_base_steps = 10;
  m->num_text_tokens = 1, m->hidden_width = TEXT / 2, m->text_width = TEXT;
  m->window_frames = 40, m->longest_history = 32, m->takes_constraints = true;
  m->features = features_make(known.bundle.skeleton, 20, 1);
  m->features.width = 5;
  m->features.mean = m->features.scale = ones;
  m->text = text_open(c, &c->memory, &p->bundle, &p->session, clean_prompt);
  s->pipeline = p;
  s->model = m;
  arena_defer(c, &c->memory, end_state, state);
  snapshot_read(c, s, input.at, input.length, state);
  s->state = *state;
  snapshot_write(c, s, &out);
}

/* A fault on purpose, for the test that faults are found. */
static void run_planted(call *c, void *unused) {
  (void)c, (void)unused;
  if (input.length > 2 && input.at[0] == '[' && input.at[1] == '\\') input.at[input.length]++;
}

static const struct {
  const char *name;
  void (*run)(call *, void *);
  const char *arguments[3]; /* run with each */
  bool string;              /* takes no length, but a zero at the end */
} targets[] = {
    {"manifest", run_manifest, {"", NULL}, false},
    {"statistics", run_statistics, {"", NULL}, false},
    {"book", run_book, {"", NULL}, false},
    {"tokenizer", run_tokenizer, {"", NULL}, false},
    {"request", run_request, {"kimodo", "motiongpt3", "ardy"}, true},
    {"constraints", run_constraints, {"2026-03", "latest"}, false},
    {"prompt", run_prompt, {"", NULL}, true},
    {"finish", run_finish, {"", NULL}, false},
    {"snapshot", run_snapshot, {"", NULL}, false},
    {"planted", run_planted, {"", NULL}, false},
};
static size_t target;

void run_input(const char *at, size_t length) {
  bool string = targets[target].string;
  int i;
  input.at = malloc(length + (string ? 1 : 0) + (length || string ? 0 : 1));
  memcpy(input.at, at, length);
  if (string) input.at[length] = 0;
  input.length = string ? strlen(input.at) : length;
  for (i = 0; i < 3 && targets[target].arguments[i]; i++)
    call_run(targets[target].run, (void *)targets[target].arguments[i]);
  free(input.at);
}

static void prepare(call *c, void *unused) {
  bytes json;
  (void)unused;
  manifest = of_bundle("manifest.json");
  open_bundle(c, &known, &manifest);
  json = of_bundle("tokenizer.json");
  known_tokenizer = tokenizer_parse(c, &known.keep, json.at, json.length, "tokenizer.json");
  free(json.at);
}

void choose_target(const char *name, const char *bundle) {
  size_t num_targets = sizeof targets / sizeof *targets;
  while (target < num_targets && strcmp(targets[target].name, name)) target++;
  if (target == num_targets) {
    fprintf(stderr, "no target %s\n", name);
    exit(2);
  }
  bundle_folder = bundle;
  if (call_run(prepare, NULL)) {
    fprintf(stderr, "%s\n", mrt_last_error());
    exit(2);
  }
}

/* ---- Changing inputs ---- */

static uint64_t state = 1;

void seed_changes(uint64_t seed) { state = seed * 0x9E3779B97F4A7C15u + 1; }

uint64_t number(uint64_t below) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return state % below;
}

static const char *const words[] = {
    "null", "true", "false", "0", "-0", "-1", "1", "1e999", "-1e-999", "0.1", "1e5", "2147483647",
    "2147483648", "-2147483649", "4294967296", "9223372036854775807", "9223372036854775808",
    "123456789012345678901234567890", "\"\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\ud83d\\ude00\"",
    "[]", "{}", "[[[[[[[[", "{\"\":{\"\":", ",", ":", "\"", "\\", "\xff", "\xed\xa0\x80",
    "\xc3\xa9", "\xe2\x80\x99", "\xf0\x9f\x98\x80", ".", " ", "\n", "<|endoftext|>"};

/* A value of a JSON text by where one seems to begin: its start; length is set. */
static size_t find_value(bytes from, size_t *length) {
  size_t tries, start, at;
  for (tries = 0; tries < 64 && from.length; tries++) {
    int depth = 0;
    bool quoted = false;
    start = number(from.length);
    if (!strchr("[{\"-0123456789tfn", from.at[start]) || !from.at[start]) continue;
    for (at = start; at < from.length; at++) {
      char c = from.at[at];
      if (quoted && c == '\\') at++;
      else if (c == '"') quoted = !quoted;
      else if (!quoted && (c == '[' || c == '{')) depth++;
      else if (!quoted && (c == ']' || c == '}')) depth--;
      if (!quoted && depth <= 0) {
        char next = at + 1 < from.length ? from.at[at + 1] : ',';
        if (strchr("]}\"", c) || strchr(",]}: \n", next)) break;
      }
    }
    if (at >= from.length) continue;
    *length = at + 1 - start;
    return start;
  }
  *length = 0;
  return 0;
}

/* Put bytes in place of some. */
static void replace(bytes *b, size_t at, size_t old, const char *with, size_t length) {
  char *copy;
  if (b->length - old + length > LARGEST) return;
  copy = malloc(length + 1); /* they may be of the same text */
  memcpy(copy, with, length);
  memmove(b->at + at + length, b->at + at + old, b->length - at - old);
  memcpy(b->at + at, copy, length);
  b->length += length - old;
  free(copy);
}

void change(bytes *b, bytes other) {
  size_t at = number(b->length + 1), left = b->length - at, length, start;
  const char *word = words[number(sizeof words / sizeof *words)];
  switch (number(10)) {
    case 0:
      if (left) b->at[at] ^= (char)(1 << number(8));
      break;
    case 1:
      if (left) b->at[at] = (char)number(256);
      break;
    case 2: /* leave out */
      replace(b, at, left ? number(left < 64 ? left : 64) + 1 : 0, "", 0);
      break;
    case 3:
      replace(b, at, 0, word, strlen(word));
      break;
    case 4: /* say twice */
      length = left ? number(left < 256 ? left : 256) + 1 : 0;
      replace(b, number(b->length + 1), 0, b->at + at, length);
      break;
    case 5: /* the end of another */
      if (other.length) {
        start = number(other.length);
        replace(b, at, left, other.at + start, other.length - start);
      }
      break;
    case 6: /* a value by a word */
      start = find_value(*b, &length);
      if (length) replace(b, start, length, word, strlen(word));
      break;
    case 7: { /* a value by one of another */
      size_t theirs, from = find_value(other, &theirs);
      start = find_value(*b, &length);
      if (length && theirs) replace(b, start, length, other.at + from, theirs);
      break;
    }
    case 8: /* a digit */
      for (length = 0; length < 64 && left && !strchr("0123456789", b->at[at]); length++)
        at = number(b->length);
      if (at < b->length) b->at[at] = (char)('0' + number(10));
      break;
    default: /* cut */
      if (number(8) == 0) b->length = at;
  }
}
