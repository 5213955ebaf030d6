#include "request.h"

#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "prompt.h"

#define DEFAULT_SECONDS 5.0
#define MAX_SEED 4294967295.0
#define MAX_SAMPLES 65536
#define MAX_PROMPTS 65536
#define MAX_TRANSITION_FRAMES (1 << 20)
#define LARGEST_FILE ((size_t)64 << 20)

void report(call *c, const request *r, const char *stage, int32_t done, int32_t total) {
  if (r->progress && !r->progress(r->progress_user, stage, done, total))
    fail(c, MRT_CANCELLED, "cancelled while %s (%d of %d)", stage, done, total);
}

void draw(call *c, const request *r, noise *stream, float *values, size_t count) {
  if (!r->noise) {
    noise_normal(stream, values, count);
    return;
  }
  if ((size_t)r->num_noise - stream->num_given < count)
    fail(c, MRT_BAD_INPUT, "noise has %lld numbers, %zu or more are drawn",
         (long long)r->num_noise, stream->num_given + count);
  memcpy(values, r->noise + stream->num_given, count * sizeof *values);
  stream->num_given += count;
}

constraints given_constraints(call *c, const request *r, const mrt_skeleton *skeleton) {
  constraints all = {NULL, 0};
  if (r->constraints_document)
    all = constraints_read(c, r->constraints_document, r->constraints_place, skeleton);
  return constraints_join(c, all,
                          constraints_take(c, r->constraints, r->num_constraints, skeleton));
}

static request fresh_request(void) {
  request r = {0};
  r.num_samples = 1;
  r.num_weights = -1;
  r.guided_from = r.guided_to = NAN;
  r.guidance_scale = NAN;
  r.temperature = NAN;
  r.postprocess = -1;
  r.root_margin = -1;
  r.compat = find_compat("2026-03");
  return r;
}

static const compat *need_compat(call *c, const char *name) {
  const compat *found = find_compat(name);
  if (!found) fail(c, MRT_BAD_INPUT, "compat \"%s\": there are 2026-03, latest", name);
  return found;
}

static void check(call *c, const request *r) {
  int32_t i;
  if (r->num_samples < 1 || r->num_samples > MAX_SAMPLES)
    fail(c, MRT_BAD_INPUT, "%d samples: must be from 1 to %d", r->num_samples, MAX_SAMPLES);
  if (r->num_steps < 0)
    fail(c, MRT_BAD_INPUT, "%d diffusion steps: must be 1 or more", r->num_steps);
  for (i = 0; i < r->num_weights; i++)
    if (!isfinite(r->weights[i])) fail(c, MRT_BAD_INPUT, "a guidance weight is not finite");
  if (!isnan(r->guided_from) &&
      !(0 <= r->guided_from && r->guided_from <= r->guided_to && r->guided_to <= 1))
    fail(c, MRT_BAD_INPUT,
         "guidance interval %g, %g: expected one or two numbers from 0 to 1, rising",
         r->guided_from, r->guided_to);
  if (!isfinite(r->first_heading)) fail(c, MRT_BAD_INPUT, "first heading: must be finite");
  if (isinf(r->root_margin) || isnan(r->root_margin))
    fail(c, MRT_BAD_INPUT, "root margin: must be 0 or more metres");
}

request request_make(call *c, const mrt_generate_options *given) {
  request r = fresh_request();
  mrt_generate_options o;
  mrt_generate_options_init(&o);
  if (given) {
    size_t size = given->struct_size;
    if (size < sizeof size || size > 4096)
      fail(c, MRT_BAD_ARGUMENT, "options: call mrt_generate_options_init first");
    memcpy(&o, given, size < sizeof o ? size : sizeof o);
  }
  if (o.seed > (int64_t)MAX_SEED)
    fail(c, MRT_BAD_INPUT, "seed %lld: must be from 0 to 4294967295", (long long)o.seed);
  r.has_seed = o.seed >= 0;
  r.seed = r.has_seed ? (uint32_t)o.seed : 0;
  r.num_samples = o.num_samples;
  r.sample_seeds = o.sample_seeds;
  r.num_steps = o.num_steps;
  r.solver = o.solver;
  r.preset = o.preset;
  if (o.no_guidance) {
    if (o.num_guidance_weights)
      fail(c, MRT_BAD_INPUT, "no_guidance takes no weights, %d given", o.num_guidance_weights);
    r.num_weights = 0;
  } else if (o.num_guidance_weights) {
    int32_t i;
    if (o.num_guidance_weights < 0 || o.num_guidance_weights > 2 || !o.guidance_weights)
      fail(c, MRT_BAD_INPUT, "give one guidance weight, or two (text, constraint)");
    r.num_weights = o.num_guidance_weights;
    for (i = 0; i < r.num_weights; i++) r.weights[i] = o.guidance_weights[i];
    if (r.num_weights == 1) r.guidance_scale = r.weights[0];
  }
  if (isnan(o.guided_from) || isnan(o.guided_to))
    fail(c, MRT_BAD_INPUT, "guidance interval: must be finite");
  if (o.guided_from >= 0 || o.guided_to >= 0) {
    r.guided_from = o.guided_from < 0 ? 0 : o.guided_from;
    r.guided_to = o.guided_to < 0 ? 1 : o.guided_to;
  }
  r.first_heading = o.first_heading_rad;
  if (o.constraints_json) {
    r.constraints_document = json_parse(c, &c->memory, o.constraints_json,
                                        strlen(o.constraints_json), MRT_BAD_INPUT, "constraints");
    r.constraints_place = "constraints";
  }
  r.constraints = o.constraints;
  r.num_constraints = o.num_constraints;
  r.postprocess = o.postprocess;
  r.root_margin = o.root_margin;
  r.num_transition_frames = o.num_transition_frames;
  if (r.num_transition_frames < 0 || r.num_transition_frames > MAX_TRANSITION_FRAMES)
    fail(c, MRT_BAD_INPUT, "%d transition frames: must be from 1 to %d", r.num_transition_frames,
         MAX_TRANSITION_FRAMES);
  r.no_chain = o.no_chain;
  r.history_frames = o.history_frames;
  if (r.history_frames < 0) fail(c, MRT_BAD_INPUT, "history_frames is negative");
  if (o.compat) r.compat = need_compat(c, o.compat);
  if (!(o.temperature < 0)) {
    if (!isfinite(o.temperature)) fail(c, MRT_BAD_INPUT, "temperature: must be finite");
    r.temperature = o.temperature;
  }
  r.text_template = o.text_template;
  r.continue_from = o.continue_from;
  r.embeddings = o.embedding;
  r.num_tokens = o.num_embedding_tokens ? o.num_embedding_tokens : 1;
  r.embedding_mask = o.embedding_mask;
  if (r.num_tokens < 1 || (!r.embeddings && (r.embedding_mask || o.num_embedding_tokens)))
    fail(c, MRT_BAD_INPUT, "num_embedding_tokens and embedding_mask go with an embedding");
  r.progress = o.progress;
  r.progress_user = o.progress_user;
  r.headings = o.first_headings_rad;
  r.noise = o.noise;
  r.num_noise = o.num_noise;
  if (r.num_noise < 0) fail(c, MRT_BAD_ARGUMENT, "num_noise is negative");
  check(c, &r);
  return r;
}

/* ---- JSON ---- */

static NO_RETURN void wrong(call *c, const char *key, const char *expected) {
  fail(c, MRT_BAD_INPUT, "request: %s: expected %s", key, expected);
}

static int64_t whole(call *c, const json *value, const char *key, int64_t least, int64_t most) {
  if (value->kind != JSON_NUMBER || !value->whole || value->integer < least ||
      value->integer > most)
    wrong(c, key, arena_print(c, &c->memory, "a whole number from %lld to %lld", (long long)least,
                              (long long)most));
  return value->integer;
}

static double number(call *c, const json *value, const char *key) {
  if (value->kind != JSON_NUMBER || !isfinite(value->number)) wrong(c, key, "a number");
  return value->number;
}

static bool yes(call *c, const json *value, const char *key) {
  if (value->kind != JSON_TRUE && value->kind != JSON_FALSE) wrong(c, key, "true or false");
  return value->kind == JSON_TRUE;
}

static const char *text(call *c, const json *value, const char *key) {
  if (value->kind != JSON_STRING || strlen(value->string) != value->length)
    wrong(c, key, "a text");
  return value->string;
}

static bool is_file_option(const char *key) {
  return !strcmp(key, "continue_from") || !strcmp(key, "between");
}

/* Lengths: one number, or one a prompt, as a list or as a text with blanks between. */
static void read_seconds(call *c, request *r, const json *value) {
  int32_t count = 0, i;
  size_t most = !value ? 1 : value->kind == JSON_STRING ? value->length : (size_t)value->num_items;
  double *found;
  if (most > MAX_PROMPTS) most = MAX_PROMPTS;
  found = TEMP(c, double, most + 1);
  if (!value) {
    found[count++] = DEFAULT_SECONDS;
  } else if (value->kind == JSON_NUMBER) {
    found[count++] = number(c, value, "seconds");
  } else if (value->kind == JSON_ARRAY) {
    const json *item;
    if (value->num_items > MAX_PROMPTS) wrong(c, "seconds", "fewer numbers");
    for (item = value->first; item; item = item->next) found[count++] = number(c, item, "seconds");
  } else if (value->kind == JSON_STRING) {
    const char *at = value->string, *end = at + value->length;
    while (at < end) {
      bool w;
      int64_t n;
      if (*at == ' ') {
        at++;
        continue;
      }
      if (count == (int32_t)most || !(at = parse_number(at, end, &found[count], &w, &n)) ||
          (at < end && *at != ' '))
        wrong(c, "seconds", "numbers with blanks between");
      count++;
    }
  } else {
    wrong(c, "seconds", "numbers");
  }
  if (count != 1 && count != r->num_prompts)
    fail(c, MRT_BAD_INPUT, "%d durations for %d prompts; give one, or one for each", count,
         r->num_prompts);
  r->seconds = TEMP(c, double, r->num_prompts);
  for (i = 0; i < r->num_prompts; i++) r->seconds[i] = found[count == 1 ? 0 : i];
}

static void read_guidance(call *c, request *r, const json *type, const json *weights) {
  const json *item;
  if (weights) {
    int32_t count = 0;
    if (weights->kind != JSON_ARRAY || weights->num_items < 1 || weights->num_items > 2)
      wrong(c, "guidance_weights", "one number, or two (text, constraint)");
    for (item = weights->first; item; item = item->next)
      r->weights[count++] = (float)number(c, item, "guidance_weights");
    r->num_weights = count;
    if (count == 1) r->guidance_scale = r->weights[0];
  }
  if (!type) return;
  if (json_is(type, "nocfg")) {
    if (weights) fail(c, MRT_BAD_INPUT, "guidance nocfg takes no weights");
    r->num_weights = 0;
  } else {
    int32_t needed = json_is(type, "regular") ? 1 : json_is(type, "separated") ? 2 : 0;
    if (!needed) wrong(c, "guidance_type", "nocfg, regular or separated");
    if (!weights || r->num_weights != needed)
      fail(c, MRT_BAD_INPUT, "guidance %s takes %d weight(s)", type->string, needed);
  }
}

static void read_guidance_interval(call *c, request *r, const json *value) {
  if (value->kind != JSON_ARRAY || value->num_items < 1 || value->num_items > 2)
    wrong(c, "guidance_interval", "one or two numbers from 0 to 1, rising");
  r->guided_from = number(c, value->first, "guidance_interval");
  r->guided_to =
      value->num_items == 1 ? 1 : number(c, value->first->next, "guidance_interval");
}

static void read_constraints(call *c, request *r, const json *value, const char *folder) {
  if (value->kind == JSON_STRING) {
    const char *name = text(c, value, "constraints"), *content;
    const char *path = folder && name[0] != '/' ? path_join(c, &c->memory, folder, name) : name;
    size_t length;
    content = file_read(c, &c->memory, path, LARGEST_FILE, &length);
    if (!content) fail(c, MRT_BAD_INPUT, "%s: cannot be read", path);
    r->constraints_document = json_parse(c, &c->memory, content, length, MRT_BAD_INPUT, path);
    r->constraints_place = path;
  } else {
    r->constraints_document = value;
    r->constraints_place = "request";
  }
}

/* Every sentence of the prompts becomes a prompt of its own, as long as the whole was to be. */
static void split_sentences(call *c, request *r) {
  request whole = *r;
  char ***parts = TEMP(c, char **, whole.num_prompts);
  int32_t *counts = TEMP(c, int32_t, whole.num_prompts), i, k, at = 0;
  int64_t all = 0;
  for (i = 0; i < whole.num_prompts; i++) {
    parts[i] = split_prompt(c, &c->memory, whole.prompts[i], &counts[i]);
    all += counts[i];
  }
  if (all > MAX_PROMPTS) wrong(c, "prompt", "fewer sentences");
  r->num_prompts = (int32_t)all;
  r->prompts = TEMP(c, const char *, all);
  r->seconds = TEMP(c, double, all);
  if (whole.num_frames) r->num_frames = TEMP(c, int32_t, all);
  r->motion_of = TEMP(c, int32_t, all);
  for (i = 0; i < whole.num_prompts; i++)
    for (k = 0; k < counts[i]; k++, at++) {
      r->prompts[at] = parts[i][k];
      r->seconds[at] = whole.seconds[i];
      if (whole.num_frames) r->num_frames[at] = whole.num_frames[i];
      r->motion_of[at] = i;
    }
}

int32_t request_motion_of(const request *r, int32_t prompt) {
  return r->motion_of ? r->motion_of[prompt] : r->sequence ? 0 : prompt;
}

int32_t request_num_motions(const request *r) {
  return request_motion_of(r, r->num_prompts - 1) + 1;
}

request request_parse(call *c, const char *document, const char *folder,
                      const mrt_generate_options *options, const char *family,
                      bool splits_prompts) {
  /* Each key, and the families that alone have it; NULL: all have. */
  static const struct {
    const char *key, *families;
  } known[] = {{"prompt", NULL},
               {"prompts", NULL},
               {"seconds", NULL},
               {"num_frames", NULL},
               {"seed", NULL},
               {"num_samples", NULL},
               {"sample_seeds", NULL},
               {"multi_prompt", NULL},
               {"num_steps", NULL},
               {"solver", "kimodo motiongpt3"},
               {"preset", NULL},
               {"guidance_type", NULL},
               {"guidance_weights", NULL},
               {"guidance_interval", "kimodo"},
               {"constraints", "kimodo ardy"},
               {"first_heading_rad", "kimodo ardy"},
               {"chain", "kimodo"},
               {"num_transition_frames", "kimodo"},
               {"continue_from", NULL},
               {"between", NULL},
               {"postprocess", "kimodo ardy"},
               {"root_margin", "kimodo ardy"},
               {"compat", "kimodo"},
               {"history_frames", "ardy"},
               {"temperature", "motiongpt3"},
               {"template", "motiongpt3"},
               {"sentences", "motiongpt3"},
               {"name", NULL}};
  request r = fresh_request(), given = request_make(c, options);
  const json *root = json_parse(c, &c->memory, document, strlen(document), MRT_BAD_INPUT, "request");
  const json *item, *prompt, *prompts, *value;
  size_t i;
  r.progress = given.progress;
  r.progress_user = given.progress_user;
  r.continue_from = given.continue_from;
  r.embeddings = given.embeddings;
  r.num_tokens = given.num_tokens;
  r.embedding_mask = given.embedding_mask;
  r.headings = given.headings;
  r.noise = given.noise;
  r.num_noise = given.num_noise;
  if (root->kind == JSON_STRING) {
    prompt = root;
    prompts = NULL;
  } else {
    if (root->kind != JSON_OBJECT) wrong(c, "document", "an object with prompt, or prompts");
    for (item = root->first; item; item = item->next) {
      for (i = 0; i < sizeof known / sizeof *known && strcmp(known[i].key, item->key); i++)
        continue;
      if (i == sizeof known / sizeof *known)
        fail(c, MRT_BAD_INPUT, "request: unknown key %s", item->key);
      if (item->kind != JSON_NULL && is_file_option(item->key))
        fail(c, MRT_BAD_INPUT, "request: %s takes motion files, which this library does not read",
             item->key);
    }
    prompt = json_get(root, "prompt");
    prompts = json_get(root, "prompts");
  }
  if (!prompt == !prompts) fail(c, MRT_BAD_INPUT, "request: give prompt, or prompts");
  if (prompt && splits_prompts) {
    r.prompts = (const char **)split_prompt(c, &c->memory, text(c, prompt, "prompt"),
                                            &r.num_prompts);
  } else if (prompt) {
    r.prompts = TEMP(c, const char *, 1);
    r.prompts[r.num_prompts++] = text(c, prompt, "prompt");
  } else {
    if (prompts->kind != JSON_ARRAY || !prompts->num_items || prompts->num_items > MAX_PROMPTS)
      wrong(c, "prompts", "a list of texts");
    r.prompts = TEMP(c, const char *, prompts->num_items);
    for (item = prompts->first; item; item = item->next)
      r.prompts[r.num_prompts++] = text(c, item, "prompts");
  }
  if (r.num_prompts > MAX_PROMPTS) wrong(c, "prompt", "fewer sentences");
  read_seconds(c, &r, json_get(root, "seconds"));
  if ((value = json_get(root, "num_frames"))) {
    r.num_frames = TEMP(c, int32_t, r.num_prompts);
    if (value->kind == JSON_ARRAY && value->num_items != r.num_prompts)
      wrong(c, "num_frames", "one number, or one a prompt");
    item = value->kind == JSON_ARRAY ? value->first : value;
    for (i = 0; i < (size_t)r.num_prompts; i++) {
      r.num_frames[i] = (int32_t)whole(c, item, "num_frames", 1, 1 << 30);
      if (value->kind == JSON_ARRAY) item = item->next;
    }
  }
  if ((value = json_get(root, "seed"))) {
    r.has_seed = true;
    r.seed = (uint32_t)whole(c, value, "seed", 0, (int64_t)MAX_SEED);
  }
  if ((value = json_get(root, "num_samples")))
    r.num_samples = (int32_t)whole(c, value, "num_samples", 1, MAX_SAMPLES);
  if ((value = json_get(root, "sample_seeds"))) r.sample_seeds = yes(c, value, "sample_seeds");
  r.sequence = splits_prompts;
  if ((value = json_get(root, "multi_prompt")))
    r.sequence = yes(c, value, "multi_prompt") && splits_prompts;
  if ((value = json_get(root, "num_steps")))
    r.num_steps = (int32_t)whole(c, value, "num_steps", 1, 1 << 30);
  if ((value = json_get(root, "solver"))) r.solver = text(c, value, "solver");
  if ((value = json_get(root, "preset"))) r.preset = text(c, value, "preset");
  read_guidance(c, &r, json_get(root, "guidance_type"), json_get(root, "guidance_weights"));
  for (i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].families && !strstr(known[i].families, family) && json_get(root, known[i].key))
      fail(c, MRT_BAD_INPUT, "request: %s has no option %s", family, known[i].key);
  if ((value = json_get(root, "guidance_interval"))) read_guidance_interval(c, &r, value);
  if ((value = json_get(root, "constraints"))) read_constraints(c, &r, value, folder);
  if ((value = json_get(root, "first_heading_rad")))
    r.first_heading = number(c, value, "first_heading_rad");
  if ((value = json_get(root, "chain"))) r.no_chain = !yes(c, value, "chain");
  if ((value = json_get(root, "num_transition_frames")))
    r.num_transition_frames =
        (int32_t)whole(c, value, "num_transition_frames", 1, MAX_TRANSITION_FRAMES);
  if ((value = json_get(root, "history_frames")))
    r.history_frames = (int32_t)whole(c, value, "history_frames", 1, 1 << 24);
  if ((value = json_get(root, "postprocess"))) r.postprocess = yes(c, value, "postprocess");
  if ((value = json_get(root, "root_margin"))) {
    r.root_margin = number(c, value, "root_margin");
    if (r.root_margin < 0) wrong(c, "root_margin", "0 or more metres");
  }
  if ((value = json_get(root, "compat"))) r.compat = need_compat(c, text(c, value, "compat"));
  if ((value = json_get(root, "temperature"))) r.temperature = number(c, value, "temperature");
  if ((value = json_get(root, "sentences")) && yes(c, value, "sentences")) split_sentences(c, &r);
  if ((value = json_get(root, "template"))) r.text_template = text(c, value, "template");
  check(c, &r);
  return r;
}
