#include "text.h"

#include <math.h>
#include <string.h>

#include "prompt.h"
#include "unicode.h"

/* How a text becomes a row of ids, and which of its tokens are pooled: the manifest's rules. */
typedef struct text_rules {
  const char *prefix, *suffix, *separator; /* separator may be NULL */
  bool trim_end, special_tokens, pool_text, repeat;
  int32_t max_tokens, text_tokens, pool_skip; /* text_tokens: 0 for no limit */
} text_rules;

struct text_sources {
  const bundle *bundle;
  const session_options *options;
  arena *keep;
  clean_fn clean;
  text_rules rules;
  const char *tokenizer_file; /* NULL: no encoder */
  tokenizer *tokenizer;
  ort_session *encoder;
  int32_t num_book;
  const char **book_prompts;
  array book;
};

static const char *rule_text(call *c, const bundle *b, arena *from, const json *rules,
                             const char *key) {
  const json *found = json_get(rules, key);
  if (!found) return "";
  if (found->kind != JSON_STRING)
    fail(c, MRT_BAD_BUNDLE, "%s: text rule %s is no text", b->place, key);
  return arena_copy(c, from, found->string, found->length);
}

static bool rule_switch(call *c, const bundle *b, const json *rules, const char *key) {
  return json_get(rules, key) ? need_switch(c, b, rules, key) : false;
}

static int32_t rule_number(call *c, const bundle *b, const json *rules, const char *key,
                           int32_t otherwise) {
  const json *found = json_get(rules, key);
  if (!found) return otherwise;
  if (found->kind != JSON_NUMBER || !found->whole || found->integer < 0 || found->integer > 1 << 24)
    fail(c, MRT_BAD_BUNDLE, "%s: text rule %s is no count", b->place, key);
  return (int32_t)found->integer;
}

static void read_rules(call *c, text_sources *t) {
  static const char *const known[] = {"prefix",     "suffix",      "trim_end", "special_tokens",
                                      "max_tokens", "text_tokens", "separator", "pool",
                                      "pool_skip",  "repeat",      "pad_id"};
  const bundle *b = t->bundle;
  const json *rules = json_get(b->text, "rules"), *item, *pool;
  text_rules *r = &t->rules;
  size_t i;
  if (!rules || rules->kind != JSON_OBJECT)
    fail(c, MRT_BAD_BUNDLE, "%s: its text section has no rules", b->place);
  for (item = rules->first; item; item = item->next) {
    for (i = 0; i < sizeof known / sizeof *known && strcmp(known[i], item->key); i++) continue;
    if (i == sizeof known / sizeof *known)
      fail(c, MRT_BAD_BUNDLE, "%s: text rule %s is unknown to this library; update it", b->place,
           item->key);
  }
  r->prefix = rule_text(c, b, t->keep, rules, "prefix");
  r->suffix = rule_text(c, b, t->keep, rules, "suffix");
  r->separator = json_get(rules, "separator") ? rule_text(c, b, t->keep, rules, "separator") : NULL;
  r->trim_end = rule_switch(c, b, rules, "trim_end");
  r->special_tokens = rule_switch(c, b, rules, "special_tokens");
  r->repeat = rule_switch(c, b, rules, "repeat");
  r->max_tokens = rule_number(c, b, rules, "max_tokens", 512);
  r->text_tokens = rule_number(c, b, rules, "text_tokens", 0);
  r->pool_skip = rule_number(c, b, rules, "pool_skip", 0);
  pool = json_get(rules, "pool");
  r->pool_text = json_is(pool, "text");
  if ((pool && !r->pool_text && !json_is(pool, "all")) || !r->max_tokens ||
      (r->repeat && !r->pool_text))
    fail(c, MRT_BAD_BUNDLE, "%s: its text rules do not fit", b->place);
}

static void read_book(call *c, text_sources *t, const char *name) {
  const bundle *b = t->bundle;
  named_bytes file = bundle_read(c, &c->memory, b, name);
  const json *metadata, *prompts, *item;
  const char *listed;
  size_t header;
  t->book = safetensors_find(c, t->keep, file, "embeddings");
  if (!t->book.values || (t->book.rank != 2 && t->book.rank != 3))
    fail(c, MRT_BAD_BUNDLE, "%s: %s is no prompt book", b->place, name);
  metadata = json_get(safetensors_header(c, file, MRT_BAD_BUNDLE, &header), "__metadata__");
  prompts = json_get(metadata, "prompts");
  if (!json_is(json_get(metadata, "format"), "motionrt-prompt-book") ||
      !json_is(json_get(metadata, "version"), "1") || !prompts || prompts->kind != JSON_STRING)
    fail(c, MRT_BAD_BUNDLE, "%s: %s is no prompt book that this library reads", b->place, name);
  listed = arena_copy(c, &c->memory, prompts->string, prompts->length);
  prompts = json_parse(c, &c->memory, listed, prompts->length, MRT_BAD_BUNDLE, name);
  if (prompts->kind != JSON_ARRAY || prompts->num_items != t->book.dims[0])
    fail(c, MRT_BAD_BUNDLE, "%s: %s: its list of prompts is damaged", b->place, name);
  t->book_prompts = TAKE(c, t->keep, const char *, prompts->num_items);
  for (item = prompts->first; item; item = item->next) {
    if (item->kind != JSON_STRING)
      fail(c, MRT_BAD_BUNDLE, "%s: %s: its list of prompts is damaged", b->place, name);
    t->book_prompts[t->num_book++] = arena_copy(c, t->keep, item->string, item->length);
  }
}

text_sources *text_open(call *c, arena *from, const bundle *b, const session_options *options,
                        clean_fn clean) {
  text_sources *t = TAKE(c, from, text_sources, 1);
  t->bundle = b;
  t->options = options;
  t->keep = from;
  t->clean = clean;
  if (json_get(b->text, "prompt_book"))
    read_book(c, t, need_text(c, from, b, b->text, "prompt_book"));
  if (bundle_has_graph(b, "text_encoder")) {
    t->tokenizer_file = need_text(c, from, b, b->text, "tokenizer");
    read_rules(c, t);
  }
  return t;
}

bool text_has_encoder(const text_sources *t) { return t->tokenizer_file != NULL; }
int32_t text_num_book_prompts(const text_sources *t) { return t->num_book; }
const char *text_book_prompt(const text_sources *t, int32_t index) {
  return index >= 0 && index < t->num_book ? t->book_prompts[index] : NULL;
}

static size_t count_ids(call *c, const text_sources *t, const char *text) {
  return tokenizer_encode(c, &c->memory, t->tokenizer, text, strlen(text), false,
                          (size_t)t->rules.max_tokens)
      .count;
}

/* Keep as many words as the share of allowed tokens, until the text alone fits. */
static const char *shortened(call *c, const text_sources *t, const char *text) {
  size_t most = (size_t)t->rules.text_tokens, count;
  while ((count = count_ids(c, t, text)) > most) {
    size_t words = count_words(text);
    size_t kept = (size_t)((double)words * ((double)most / (double)count));
    text = first_words(c, &c->memory, text, kept);
  }
  return text;
}

static const char *replaced(call *c, const char *text, const char *what) {
  buffer out = {&c->memory, NULL, 0, 0};
  const char *found;
  while ((found = strstr(text, what))) {
    buffer_add(c, &out, text, (size_t)(found - text));
    text = found + strlen(what);
  }
  buffer_add(c, &out, text, strlen(text));
  return out.bytes;
}

/* A text's ids, and the first that is pooled. */
static token_ids make_row(call *c, const text_sources *t, const char *text, size_t *start) {
  const text_rules *r = &t->rules;
  const char *counted;
  token_ids ids;
  char *whole;
  if (r->text_tokens) text = shortened(c, t, text);
  if (r->trim_end) text = trim_end(c, &c->memory, text);
  counted = arena_print(c, &c->memory, "%s%s", text, r->suffix);
  if (r->separator && *r->separator && strstr(text, r->separator)) {
    counted = arena_copy(c, &c->memory, text, (size_t)(strstr(text, r->separator) - text));
    text = replaced(c, text, r->separator);
  }
  if (r->repeat) text = arena_print(c, &c->memory, "%s %s", text, text);
  whole = arena_print(c, &c->memory, "%s%s%s", r->prefix, text, r->suffix);
  ids = tokenizer_encode(c, &c->memory, t->tokenizer, whole, strlen(whole), r->special_tokens,
                         (size_t)r->max_tokens);
  *start = 0;
  if (r->pool_text) {
    size_t pooled = count_ids(c, t, counted);
    if (pooled > ids.count) pooled = ids.count;
    *start = pooled ? ids.count - pooled : 0; /* nothing to pool means everything */
  }
  if (ids.count - *start > (size_t)r->pool_skip) *start += (size_t)r->pool_skip;
  return ids;
}

/* What the encoder gives for a prompt: (1, W), or (1, L, W). */
static const float *encode(call *c, text_sources *t, const char *prompt, int32_t width,
                           int32_t *count) {
  const bundle *b = t->bundle;
  size_t start, length, i;
  int64_t *ids, *attention, *pool;
  token_ids row;
  tensor *outputs = TEMP(c, tensor, 1);
  if (!t->tokenizer) {
    named_bytes file = bundle_read(c, &c->memory, b, t->tokenizer_file);
    t->tokenizer = tokenizer_parse(c, t->keep, file.bytes, file.num_bytes, t->tokenizer_file);
  }
  if (!t->encoder) t->encoder = bundle_session(c, t->keep, b, "text_encoder", t->options);
  row = make_row(c, t, prompt, &start);
  length = row.count ? row.count : 1;
  ids = TEMP(c, int64_t, length);
  attention = TEMP(c, int64_t, length);
  pool = TEMP(c, int64_t, length);
  for (i = 0; i < row.count; i++) {
    ids[i] = row.ids[i];
    attention[i] = 1;
    pool[i] = i >= start;
  }
  {
    tensor inputs[] = {
        {"input_ids", TENSOR_INT64, 2, {1, (int64_t)length}, ids},
        {"attention_mask", TENSOR_INT64, 2, {1, (int64_t)length}, attention},
        {"pool_mask", TENSOR_INT64, 2, {1, (int64_t)length}, pool},
    };
    outputs[0].name = "text_features";
    session_run(c, &c->memory, t->encoder, inputs, 3, outputs, 1);
  }
  if (outputs[0].type != TENSOR_FLOAT || outputs[0].rank < 2 || outputs[0].rank > 3 ||
      outputs[0].dims[0] != 1 || outputs[0].dims[outputs[0].rank - 1] != width)
    fail(c, MRT_BAD_BUNDLE, "%s: its text encoder gives %zu numbers, the model takes %d", b->place,
         tensor_count(&outputs[0]), width);
  *count = outputs[0].rank == 3 ? (int32_t)outputs[0].dims[1] : 1;
  return outputs[0].data;
}

static int32_t find_in_book(const text_sources *t, const char *prompt) {
  int32_t i;
  for (i = 0; i < t->num_book; i++)
    if (!strcmp(t->book_prompts[i], prompt)) return i;
  return -1;
}

const float *text_tokens(call *c, text_sources *t, const char *prompt, int32_t width, int32_t most,
                         int32_t *count) {
  size_t words = count_words(prompt);
  const float *found;
  const char *cleaned;
  int32_t row;
  if (words > MAX_PROMPT_WORDS)
    fail(c, MRT_BAD_INPUT, "prompt of %zu words: at most %d; describe one short motion", words,
         MAX_PROMPT_WORDS);
  cleaned = t->clean(c, &c->memory, prompt);
  *count = 0;
  if (!*cleaned) return NULL;
  row = find_in_book(t, cleaned);
  if (row >= 0) {
    int64_t numbers = t->book.dims[t->book.rank - 1];
    if (numbers != width)
      fail(c, MRT_BAD_BUNDLE, "%s: its prompt book's embeddings have %lld numbers, not %d",
           t->bundle->place, (long long)numbers, width);
    *count = t->book.rank == 3 ? (int32_t)t->book.dims[1] : 1;
    found = t->book.values + (size_t)row * *count * width;
  } else if (t->tokenizer_file) {
    found = encode(c, t, cleaned, width, count);
  } else {
    if (t->num_book)
      fail(c, MRT_BAD_INPUT,
           "\"%s\" is not in the bundle's prompt book, and it has no text encoder; "
           "mrt_pipeline_book_prompt lists what is",
           cleaned);
    fail(c, MRT_BAD_INPUT,
         "%s: holds neither text encoder nor prompt book; give mrt_generate_options.embedding",
         t->bundle->place);
  }
  if (*count < 1 || *count > most)
    fail(c, MRT_BAD_BUNDLE, "%s: \"%s\" has %d tokens, the model takes 1 to %d", t->bundle->place,
         cleaned, *count, most);
  return found;
}

/* ---- Tokens of prompts ---- */

tokens tokens_new(call *c, int32_t rows, int32_t count, int32_t width) {
  size_t all = (size_t)rows * count;
  tokens taken = {count, TEMP(c, float, all * width), TEMP(c, bool, all)};
  return taken;
}

static bool is_zero(const float *values, size_t count) {
  size_t i;
  for (i = 0; i < count && values[i] == 0; i++) continue;
  return i == count;
}

static void need_finite(call *c, const float *values, size_t count) {
  size_t i;
  for (i = 0; i < count; i++)
    if (!isfinite(values[i])) fail(c, MRT_BAD_INPUT, "embedding: a number is not finite");
}

tokens tokens_of(call *c, text_sources *t, const char *const *prompts, int32_t rows, int32_t width,
                 int32_t most) {
  int32_t *counts = TEMP(c, int32_t, rows), longest = 1, i, k;
  const float **found = TEMP(c, const float *, rows);
  tokens all;
  for (i = 0; i < rows; i++) {
    found[i] = text_tokens(c, t, prompts[i], width, most, &counts[i]);
    if (counts[i] > longest) longest = counts[i];
  }
  all = tokens_new(c, rows, longest, width);
  for (i = 0; i < rows; i++) {
    size_t at = (size_t)i * longest, numbers = (size_t)counts[i] * width;
    if (!found[i]) continue;
    need_finite(c, found[i], numbers);
    memcpy(all.values + at * width, found[i], numbers * sizeof(float));
    for (k = 0; k < counts[i]; k++) /* one that stands for the whole prompt is one whatever it is */
      all.mask[at + k] = counts[i] == 1 || !is_zero(found[i] + (size_t)k * width, (size_t)width);
  }
  return all;
}

tokens tokens_given(call *c, const float *embeddings, const uint8_t *mask, int32_t rows,
                    int32_t count, int32_t width, int32_t most) {
  size_t numbers = (size_t)count * width, at;
  int32_t i, k;
  tokens all;
  if (count > most)
    fail(c, MRT_BAD_INPUT, "embedding: %d tokens a prompt, this model takes 1 to %d", count, most);
  need_finite(c, embeddings, rows * numbers);
  all = tokens_new(c, rows, count, width);
  for (i = 0; i < rows; i++) {
    bool any = false;
    for (k = 0; k < count; k++) {
      at = (size_t)i * count + k;
      all.mask[at] =
          mask ? mask[at] != 0 : !is_zero(embeddings + at * width, (size_t)width);
      any |= all.mask[at];
    }
    if (any) /* what stands for no prompt must not reach the result */
      memcpy(all.values + i * numbers, embeddings + i * numbers, numbers * sizeof(float));
  }
  return all;
}
