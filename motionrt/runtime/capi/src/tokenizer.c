#include "tokenizer.h"

#include <string.h>

#include "unicode.h"

/* How a text is cut before its pieces are merged. */
typedef enum cutting {
  CUT_GPT2,  /* digits of any number, a blank before letters, numbers and signs */
  CUT_LLAMA, /* digits by three; line breaks apart */
  CUT_QWEN,  /* digits one by one; line breaks apart */
  CUT_BERT   /* at blanks, and every sign apart */
} cutting;

typedef enum normalizing { KEEP, COMPOSE, BERT } normalizing;

typedef struct entry {
  const char *token; /* NULL: free */
  uint32_t length, hash;
  int32_t id;
} entry;

typedef struct merge {
  int32_t first, second, made, rank; /* made < 0: free */
} merge;

typedef struct added_token {
  const char *text;
  size_t length;
  int32_t id;
  bool lstrip, rstrip, single_word, normalized;
} added_token;

struct tokenizer {
  const char *place;
  bool word_piece, add_prefix_space, ignore_merges;
  cutting cutting;
  normalizing normalizing;
  bool clean_text, chinese_chars, strip_accents, lowercase; /* BERT's normalizer */
  entry *entries;
  size_t num_slots;
  merge *merges;
  size_t num_merge_slots;
  int32_t byte_ids[256]; /* of the character that stands for a byte */
  added_token *added;
  size_t num_added;
  int32_t *before, *after; /* what the template puts around a text */
  size_t num_before, num_after;
  const char *subword_prefix; /* WordPiece's */
  size_t max_word_chars;
  int32_t unknown;
};

/* ---- Tables ---- */

static uint32_t hash_bytes(const char *bytes, size_t length) {
  uint32_t h = 2166136261u;
  size_t i;
  for (i = 0; i < length; i++) h = (h ^ (unsigned char)bytes[i]) * 16777619u;
  return h ^ h >> 15;
}

static int32_t find_token(const tokenizer *t, const char *token, size_t length) {
  uint32_t hash = hash_bytes(token, length);
  size_t slot = hash & (t->num_slots - 1);
  for (; t->entries[slot].token; slot = (slot + 1) & (t->num_slots - 1)) {
    const entry *e = &t->entries[slot];
    if (e->hash == hash && e->length == length && !memcmp(e->token, token, length)) return e->id;
  }
  return -1;
}

static void put_token(tokenizer *t, const char *token, size_t length, int32_t id) {
  uint32_t hash = hash_bytes(token, length);
  size_t slot = hash & (t->num_slots - 1);
  while (t->entries[slot].token) {
    entry *e = &t->entries[slot];
    if (e->hash == hash && e->length == length && !memcmp(e->token, token, length)) {
      e->id = id;
      return;
    }
    slot = (slot + 1) & (t->num_slots - 1);
  }
  t->entries[slot].token = token;
  t->entries[slot].length = (uint32_t)length;
  t->entries[slot].hash = hash;
  t->entries[slot].id = id;
}

static size_t merge_slot(const tokenizer *t, int32_t first, int32_t second) {
  uint64_t x = ((uint64_t)(uint32_t)first << 32 | (uint32_t)second) * 0x9E3779B97F4A7C15u;
  return (size_t)(x >> 29) & (t->num_merge_slots - 1);
}

static const merge *find_merge(const tokenizer *t, int32_t first, int32_t second) {
  size_t slot;
  if (first < 0 || second < 0 || !t->num_merge_slots) return NULL;
  slot = merge_slot(t, first, second);
  for (; t->merges[slot].made >= 0; slot = (slot + 1) & (t->num_merge_slots - 1))
    if (t->merges[slot].first == first && t->merges[slot].second == second)
      return &t->merges[slot];
  return NULL;
}

static size_t power_of_two(size_t least) {
  size_t size = 16;
  while (size < least) size *= 2;
  return size;
}

/* The character that byte-level tokenizers write for a byte. */
static uint32_t byte_character(unsigned byte) {
  unsigned i, shifted = 0;
  if ((byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE) return byte;
  for (i = 0; i < byte; i++)
    if (!((i >= '!' && i <= '~') || (i >= 0xA1 && i <= 0xAC) || i >= 0xAE)) shifted++;
  return 256 + shifted;
}

/* ---- Reading ---- */

static NO_RETURN void unknown_kind(call *c, const char *place, const char *what) {
  fail(c, MRT_BAD_BUNDLE, "%s: a tokenizer with %s, which this library does not know", place, what);
}

static NO_RETURN void damaged(call *c, const char *place, const char *what) {
  fail(c, MRT_BAD_BUNDLE, "%s: no tokenizer (%s)", place, what);
}

static bool is_true(const json *object, const char *key) {
  const json *value = json_get(object, key);
  return value && value->kind == JSON_TRUE;
}

static const char *kind_of(const json *part) {
  const json *type = json_get(part, "type");
  return type && type->kind == JSON_STRING ? type->string : "";
}

static void read_vocabulary(call *c, arena *from, tokenizer *t, const json *vocab) {
  const json *item;
  if (!vocab || vocab->kind != JSON_OBJECT) damaged(c, t->place, "its vocabulary is missing");
  t->num_slots = power_of_two((size_t)vocab->num_items * 2 + 16);
  t->entries = TAKE(c, from, entry, t->num_slots);
  for (item = vocab->first; item; item = item->next) {
    if (item->kind != JSON_NUMBER || !item->whole || item->integer < 0 ||
        item->integer > 1 << 30)
      damaged(c, t->place, "a token has no id");
    put_token(t, arena_copy(c, from, item->key, item->key_length), item->key_length,
              (int32_t)item->integer);
  }
}

/* A merge is a pair of texts, or one text with a blank between them. */
static void read_merges(call *c, arena *from, tokenizer *t, const json *merges) {
  const json *item;
  size_t i;
  int32_t rank = 0;
  if (!merges || merges->kind != JSON_ARRAY) damaged(c, t->place, "its merges are missing");
  if (!merges->num_items) return;
  t->num_merge_slots = power_of_two((size_t)merges->num_items * 2);
  t->merges = TAKE(c, from, merge, t->num_merge_slots);
  for (i = 0; i < t->num_merge_slots; i++) t->merges[i].made = -1;
  for (item = merges->first; item; item = item->next, rank++) {
    const char *first, *second;
    size_t first_length, second_length, slot;
    int32_t a, b, made;
    buffer whole = {&c->memory, NULL, 0, 0};
    if (item->kind == JSON_ARRAY && item->num_items == 2 && item->first->kind == JSON_STRING &&
        item->first->next->kind == JSON_STRING) {
      first = item->first->string, first_length = item->first->length;
      second = item->first->next->string, second_length = item->first->next->length;
    } else if (item->kind == JSON_STRING && strchr(item->string, ' ')) {
      first = item->string;
      second = strchr(first, ' ') + 1;
      first_length = (size_t)(second - first) - 1;
      second_length = item->length - first_length - 1;
    } else {
      damaged(c, t->place, "a merge is no pair");
    }
    a = find_token(t, first, first_length);
    b = find_token(t, second, second_length);
    buffer_add(c, &whole, first, first_length);
    buffer_add(c, &whole, second, second_length);
    made = find_token(t, whole.bytes, whole.length);
    if (a < 0 || b < 0 || made < 0) damaged(c, t->place, "a merge is of unknown tokens");
    slot = merge_slot(t, a, b);
    while (t->merges[slot].made >= 0 &&
           (t->merges[slot].first != a || t->merges[slot].second != b))
      slot = (slot + 1) & (t->num_merge_slots - 1);
    t->merges[slot].first = a;
    t->merges[slot].second = b;
    t->merges[slot].made = made;
    t->merges[slot].rank = rank;
  }
}

static void read_model(call *c, arena *from, tokenizer *t, const json *model) {
  static const char *const absent[] = {"dropout", "unk_token", "continuing_subword_prefix",
                                       "end_of_word_suffix"};
  size_t i;
  if (json_is(json_get(model, "type"), "WordPiece") ||
      (!json_get(model, "type") && json_get(model, "max_input_chars_per_word"))) {
    const json *prefix = json_get(model, "continuing_subword_prefix");
    const json *unknown = json_get(model, "unk_token");
    const json *most = json_get(model, "max_input_chars_per_word");
    t->word_piece = true;
    read_vocabulary(c, from, t, json_get(model, "vocab"));
    t->subword_prefix = prefix && prefix->kind == JSON_STRING
                            ? arena_copy(c, from, prefix->string, prefix->length)
                            : "##";
    t->max_word_chars = most && most->whole && most->integer > 0 ? (size_t)most->integer : 100;
    t->unknown = unknown && unknown->kind == JSON_STRING
                     ? find_token(t, unknown->string, unknown->length)
                     : -1;
    if (t->unknown < 0) damaged(c, t->place, "its unknown token is missing");
    return;
  }
  if (!json_is(json_get(model, "type"), "BPE") && json_get(model, "type"))
    unknown_kind(c, t->place, kind_of(model));
  for (i = 0; i < sizeof absent / sizeof *absent; i++) {
    const json *value = json_get(model, absent[i]);
    if (value && !(value->kind == JSON_STRING && !value->length))
      unknown_kind(c, t->place, absent[i]);
  }
  if (is_true(model, "byte_fallback")) unknown_kind(c, t->place, "byte_fallback");
  t->ignore_merges = is_true(model, "ignore_merges");
  read_vocabulary(c, from, t, json_get(model, "vocab"));
  read_merges(c, from, t, json_get(model, "merges"));
  for (i = 0; i < 256; i++) {
    char text[4];
    t->byte_ids[i] = find_token(t, text, utf8_write(text, byte_character((unsigned)i)));
  }
}

static void read_normalizer(call *c, tokenizer *t, const json *part) {
  if (!part) return;
  if (json_is(json_get(part, "type"), "NFC")) {
    t->normalizing = COMPOSE;
  } else if (json_is(json_get(part, "type"), "BertNormalizer")) {
    const json *accents = json_get(part, "strip_accents");
    t->normalizing = BERT;
    t->clean_text = is_true(part, "clean_text");
    t->chinese_chars = is_true(part, "handle_chinese_chars");
    t->lowercase = is_true(part, "lowercase");
    t->strip_accents = accents ? accents->kind == JSON_TRUE : t->lowercase;
  } else {
    unknown_kind(c, t->place, kind_of(part));
  }
}

#define SHORT_FORMS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define SIGNS_AND_BLANKS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static void read_cutting(call *c, tokenizer *t, const json *part) {
  const json *first, *second, *pattern;
  if (!part) unknown_kind(c, t->place, "no pre-tokenizer");
  if (json_is(json_get(part, "type"), "BertPreTokenizer")) {
    t->cutting = CUT_BERT;
    return;
  }
  if (json_is(json_get(part, "type"), "ByteLevel")) {
    const json *regex = json_get(part, "use_regex");
    if (regex && regex->kind == JSON_FALSE) unknown_kind(c, t->place, "no pattern");
    t->cutting = CUT_GPT2;
    t->add_prefix_space = is_true(part, "add_prefix_space");
    return;
  }
  first = json_get(part, "pretokenizers");
  if (!json_is(json_get(part, "type"), "Sequence") || !first || first->kind != JSON_ARRAY ||
      first->num_items != 2)
    unknown_kind(c, t->place, kind_of(part));
  first = first->first;
  second = first->next;
  pattern = json_get(json_get(first, "pattern"), "Regex");
  if (!json_is(json_get(first, "type"), "Split") ||
      !json_is(json_get(first, "behavior"), "Isolated") || is_true(first, "invert") ||
      !json_is(json_get(second, "type"), "ByteLevel") || is_true(second, "use_regex") ||
      is_true(second, "add_prefix_space"))
    unknown_kind(c, t->place, "an unusual pre-tokenizer");
  if (json_is(pattern, SHORT_FORMS "\\p{N}{1,3}" SIGNS_AND_BLANKS))
    t->cutting = CUT_LLAMA;
  else if (json_is(pattern, SHORT_FORMS "\\p{N}" SIGNS_AND_BLANKS))
    t->cutting = CUT_QWEN;
  else
    unknown_kind(c, t->place, "an unusual pattern");
}

static void read_added(call *c, arena *from, tokenizer *t, const json *list) {
  const json *item;
  if (!list || list->kind != JSON_ARRAY) return;
  t->added = TAKE(c, from, added_token, list->num_items);
  for (item = list->first; item; item = item->next) {
    const json *content = json_get(item, "content"), *id = json_get(item, "id");
    added_token *a = &t->added[t->num_added];
    if (!content || content->kind != JSON_STRING || !id || id->kind != JSON_NUMBER || !id->whole ||
        id->integer < 0 || id->integer > 1 << 30)
      damaged(c, t->place, "an added token");
    if (!content->length) continue;
    a->text = arena_copy(c, from, content->string, content->length);
    a->length = content->length;
    a->id = (int32_t)id->integer;
    a->lstrip = is_true(item, "lstrip");
    a->rstrip = is_true(item, "rstrip");
    a->single_word = is_true(item, "single_word");
    a->normalized = is_true(item, "normalized");
    t->num_added++;
  }
}

static void read_template(call *c, arena *from, tokenizer *t, const json *part) {
  const json *single, *item;
  bool behind = false;
  if (!part) return;
  if (json_is(json_get(part, "type"), "ByteLevel")) return; /* offsets alone */
  if (json_is(json_get(part, "type"), "Sequence")) {
    const json *list = json_get(part, "processors");
    for (item = list && list->kind == JSON_ARRAY ? list->first : NULL; item; item = item->next)
      read_template(c, from, t, item);
    return;
  }
  if (json_is(json_get(part, "type"), "BertProcessing") ||
      json_is(json_get(part, "type"), "RobertaProcessing")) {
    const json *cls = json_get(part, "cls"), *sep = json_get(part, "sep");
    if (!cls || !sep || cls->kind != JSON_ARRAY || sep->kind != JSON_ARRAY ||
        cls->num_items != 2 || sep->num_items != 2)
      damaged(c, t->place, "its template");
    t->before = TAKE(c, from, int32_t, 1);
    t->after = TAKE(c, from, int32_t, 1);
    t->before[t->num_before++] = (int32_t)cls->first->next->integer;
    t->after[t->num_after++] = (int32_t)sep->first->next->integer;
    return;
  }
  single = json_get(part, "single");
  if (!json_is(json_get(part, "type"), "TemplateProcessing") || !single ||
      single->kind != JSON_ARRAY)
    unknown_kind(c, t->place, kind_of(part));
  t->before = TAKE(c, from, int32_t, single->num_items);
  t->after = TAKE(c, from, int32_t, single->num_items);
  for (item = single->first; item; item = item->next) {
    const json *special = json_get(json_get(item, "SpecialToken"), "id"), *ids;
    char *name;
    if (json_get(item, "Sequence")) {
      if (behind) damaged(c, t->place, "its template has two texts");
      behind = true;
      continue;
    }
    if (!special || special->kind != JSON_STRING) damaged(c, t->place, "its template");
    name = arena_copy(c, &c->memory, special->string, special->length);
    ids = json_get(json_get(json_get(part, "special_tokens"), name), "ids");
    if (!ids || ids->kind != JSON_ARRAY || ids->num_items != 1 || !ids->first->whole)
      damaged(c, t->place, "its template");
    if (behind)
      t->after[t->num_after++] = (int32_t)ids->first->integer;
    else
      t->before[t->num_before++] = (int32_t)ids->first->integer;
  }
}

tokenizer *tokenizer_parse(call *c, arena *from, const char *text, size_t length,
                           const char *place) {
  tokenizer *t = TAKE(c, from, tokenizer, 1);
  const json *root;
  t->place = arena_copy(c, from, place, strlen(place));
  root = json_parse(c, &c->memory, text, length, MRT_BAD_BUNDLE, place);
  if (root->kind != JSON_OBJECT) damaged(c, place, "no object");
  read_model(c, from, t, json_get(root, "model"));
  read_normalizer(c, t, json_get(root, "normalizer"));
  read_cutting(c, t, json_get(root, "pre_tokenizer"));
  if (t->word_piece != (t->cutting == CUT_BERT)) unknown_kind(c, place, "an unusual pre-tokenizer");
  read_added(c, from, t, json_get(root, "added_tokens"));
  read_template(c, from, t, json_get(root, "post_processor"));
  return t;
}

int32_t tokenizer_find(const tokenizer *t, const char *token) {
  size_t i, length = strlen(token);
  for (i = 0; i < t->num_added; i++)
    if (t->added[i].length == length && !memcmp(t->added[i].text, token, length))
      return t->added[i].id;
  return find_token(t, token, length);
}

/* ---- Encoding ---- */

typedef struct row {
  call *c;
  arena *from;
  const tokenizer *t;
  token_ids out;
  size_t room;
} row;

static void put(row *r, int32_t id) {
  if (r->out.count == r->room) {
    size_t room = r->room ? r->room * 2 : 64;
    int32_t *larger = TAKE(r->c, r->from, int32_t, room);
    if (r->out.count) memcpy(larger, r->out.ids, r->out.count * sizeof *larger);
    r->out.ids = larger;
    r->room = room;
  }
  r->out.ids[r->out.count++] = id;
}

/* Pieces of a word while they are merged: a list with links, and a heap of the pairs by rank. */
typedef struct piece {
  int32_t id, before, after; /* after < 0: the last; id < 0: merged away */
} piece;

typedef struct pair {
  int32_t rank, at, first, second, made;
} pair;

typedef struct heap {
  pair *pairs;
  size_t count;
} heap;

static bool pair_less(const pair *a, const pair *b) {
  return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(heap *h, pair p) {
  size_t at = h->count++;
  while (at && pair_less(&p, &h->pairs[(at - 1) / 2])) {
    h->pairs[at] = h->pairs[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  h->pairs[at] = p;
}

static pair heap_pop(heap *h) {
  pair top = h->pairs[0], last = h->pairs[--h->count];
  size_t at = 0, child;
  while ((child = 2 * at + 1) < h->count) {
    if (child + 1 < h->count && pair_less(&h->pairs[child + 1], &h->pairs[child])) child++;
    if (!pair_less(&h->pairs[child], &last)) break;
    h->pairs[at] = h->pairs[child];
    at = child;
  }
  h->pairs[at] = last;
  return top;
}

static void offer(const tokenizer *t, heap *h, const piece *pieces, int32_t at) {
  int32_t after = at < 0 ? -1 : pieces[at].after;
  const merge *found;
  pair p;
  if (after < 0) return;
  found = find_merge(t, pieces[at].id, pieces[after].id);
  if (!found) return;
  p.rank = found->rank;
  p.at = at;
  p.first = found->first;
  p.second = found->second;
  p.made = found->made;
  heap_push(h, p);
}

/* Byte-pair encoding of one word's bytes. */
static void encode_word(row *r, const char *word, size_t length) {
  const tokenizer *t = r->t;
  call *c = r->c;
  piece *pieces;
  heap h;
  size_t i;
  int32_t at, first = -1, last = -1;
  if (!length) return;
  if (t->ignore_merges) {
    char *written = TEMP(c, char, length * 2 + 1);
    size_t size = 0;
    int32_t id;
    for (i = 0; i < length; i++)
      size += utf8_write(written + size, byte_character((unsigned char)word[i]));
    id = find_token(t, written, size);
    if (id >= 0) {
      put(r, id);
      return;
    }
  }
  pieces = TEMP(c, piece, length);
  h.pairs = TEMP(c, pair, length * 3);
  h.count = 0;
  for (i = 0; i < length; i++) {
    int32_t id = t->byte_ids[(unsigned char)word[i]], now;
    if (id < 0) continue; /* a byte that the vocabulary lacks is left out */
    now = (int32_t)i;
    pieces[now].id = id;
    pieces[now].before = last;
    pieces[now].after = -1;
    if (last >= 0)
      pieces[last].after = now;
    else
      first = now;
    last = now;
  }
  for (i = 0; i < length; i++)
    if (t->byte_ids[(unsigned char)word[i]] >= 0) offer(t, &h, pieces, (int32_t)i);
  while (h.count) {
    pair p = heap_pop(&h);
    int32_t after = pieces[p.at].id == p.first ? pieces[p.at].after : -1;
    if (after < 0 || pieces[after].id != p.second) continue; /* merged otherwise meanwhile */
    pieces[p.at].id = p.made;
    pieces[p.at].after = pieces[after].after;
    if (pieces[after].after >= 0) pieces[pieces[after].after].before = p.at;
    pieces[after].id = -1;
    offer(t, &h, pieces, pieces[p.at].before);
    offer(t, &h, pieces, p.at);
  }
  for (at = first; at >= 0; at = pieces[at].after) put(r, pieces[at].id);
}

/* WordPiece: the longest piece that is known, again and again. */
static void encode_pieces(row *r, const char *word, size_t length) {
  const tokenizer *t = r->t;
  size_t prefix = strlen(t->subword_prefix), num_chars = 0, start = 0, size, kept = r->out.count;
  char *candidate = TEMP(r->c, char, length + prefix + 1);
  const char *at;
  for (at = word; at < word + length; at += size, num_chars++) utf8_read(at, word + length, &size);
  if (num_chars > t->max_word_chars) {
    put(r, t->unknown);
    return;
  }
  while (start < length) {
    size_t end = length, head = start ? prefix : 0;
    int32_t id = -1;
    while (end > start) {
      memcpy(candidate, t->subword_prefix, head);
      memcpy(candidate + head, word + start, end - start);
      if ((id = find_token(t, candidate, head + end - start)) >= 0) break;
      do end--;
      while (end > start && ((unsigned char)word[end] & 0xC0) == 0x80);
    }
    if (id < 0) {
      r->out.count = kept;
      put(r, t->unknown);
      return;
    }
    put(r, id);
    start = end;
  }
}

/* A text with the classes of its characters looked up as it is cut. */
typedef struct reader {
  const char *at, *end;
} reader;

static uint32_t peek(const reader *r, size_t *size) {
  if (r->at >= r->end) {
    *size = 0;
    return 0;
  }
  return utf8_read(r->at, r->end, size);
}

static bool is_line_break(uint32_t code) { return code == '\n' || code == '\r'; }
static bool is_other(uint32_t code) {
  return !is_white(code) && !is_letter(code) && !is_number(code);
}

/* The length of a short form ('s, 't, 're …) that begins here; 0 if there is none. */
static size_t short_form(const char *at, const char *end, bool any_case) {
  static const char *const forms[] = {"s", "t", "re", "ve", "m", "ll", "d"};
  size_t i;
  if (at >= end || *at != '\'') return 0;
  for (i = 0; i < sizeof forms / sizeof *forms; i++) {
    const char *form = forms[i], *p = at + 1;
    for (; *form && p < end; form++) {
      size_t size;
      uint32_t code = utf8_read(p, end, &size);
      if (any_case && code >= 'A' && code <= 'Z') code |= 32;
      if (any_case && code == 0x17F) code = 's'; /* the long s folds to it */
      if (code != (uint32_t)*form) break;
      p += size;
    }
    if (!*form) return (size_t)(p - at);
  }
  return 0;
}

static void skip_while(reader *r, bool (*of)(uint32_t), size_t most) {
  size_t size;
  while (most-- && r->at < r->end && of(utf8_read(r->at, r->end, &size))) r->at += size;
}

/* \s+(?!\S)|\s+ : a run of blanks, but for its last if something follows. */
static void blanks(reader *r) {
  const char *start = r->at, *last = r->at;
  size_t size;
  while (r->at < r->end && is_white(utf8_read(r->at, r->end, &size))) {
    last = r->at;
    r->at += size;
  }
  if (r->at < r->end && last > start) r->at = last;
}

/* ' 's|'t|…| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static void cut_gpt2(reader *r) {
  size_t size, blank = *r->at == ' ', form = short_form(r->at, r->end, false);
  reader after = {r->at + blank, r->end};
  uint32_t code;
  if (form) {
    r->at += form;
    return;
  }
  code = peek(&after, &size);
  if (size && (is_letter(code) || is_number(code) || is_other(code))) {
    r->at = after.at;
    skip_while(r, is_letter(code) ? is_letter : is_number(code) ? is_number : is_other, SIZE_MAX);
    return;
  }
  blanks(r);
}

static void cut_modern(reader *r, size_t digits) {
  size_t size, after_size, form = short_form(r->at, r->end, true);
  uint32_t code = peek(r, &size), next;
  reader after;
  if (form) {
    r->at += form;
    return;
  }
  after.at = r->at + size;
  after.end = r->end;
  next = peek(&after, &after_size);
  /* [^\r\n\p{L}\p{N}]?\p{L}+ */
  if (is_letter(code) || (!is_line_break(code) && !is_number(code) && after_size &&
                          is_letter(next))) {
    if (!is_letter(code)) r->at = after.at;
    skip_while(r, is_letter, SIZE_MAX);
    return;
  }
  if (is_number(code)) {
    skip_while(r, is_number, digits);
    return;
  }
  /* " ?[^\s\p{L}\p{N}]+[\r\n]*" */
  if (is_other(code) || (code == ' ' && after_size && is_other(next))) {
    if (code == ' ') r->at = after.at;
    skip_while(r, is_other, SIZE_MAX);
    skip_while(r, is_line_break, SIZE_MAX);
    return;
  }
  { /* \s*[\r\n]+ : blanks up to the last line break of the run */
    reader run = *r;
    const char *stop = NULL;
    while (run.at < run.end) {
      code = utf8_read(run.at, run.end, &size);
      if (!is_white(code)) break;
      run.at += size;
      if (is_line_break(code)) stop = run.at;
    }
    if (stop) {
      r->at = stop;
      return;
    }
  }
  blanks(r);
}

static void encode_bert(row *r, const char *text, size_t length) {
  const char *at = text, *end = text + length, *start = text;
  size_t size;
  for (; at < end; at += size) {
    uint32_t code = utf8_read(at, end, &size);
    bool blank = is_white(code), sign = is_sign(code);
    if (!blank && !sign) continue;
    if (at > start) encode_pieces(r, start, (size_t)(at - start));
    if (sign) encode_pieces(r, at, size);
    start = at + size;
  }
  if (end > start) encode_pieces(r, start, (size_t)(end - start));
}

/* A text between added tokens, normalised. */
static void encode_plain(row *r, const char *text, size_t length) {
  const tokenizer *t = r->t;
  reader cut = {text, text + length};
  if (!length) return;
  if (t->cutting == CUT_BERT) {
    encode_bert(r, text, length);
    return;
  }
  if (t->add_prefix_space && *text != ' ') {
    char *longer = TEMP(r->c, char, length + 2);
    longer[0] = ' ';
    memcpy(longer + 1, text, length);
    cut.at = longer;
    cut.end = longer + length + 1;
  }
  while (cut.at < cut.end) {
    const char *start = cut.at;
    if (t->cutting == CUT_GPT2)
      cut_gpt2(&cut);
    else
      cut_modern(&cut, t->cutting == CUT_LLAMA ? 3 : 1);
    encode_word(r, start, (size_t)(cut.at - start));
  }
}

static bool is_chinese(uint32_t code) {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
         (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B73F) ||
         (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

/* Clean, put blanks around Chinese characters, take accents away, lower the case. */
static const char *bert_normalized(row *r, const char *text, size_t length, size_t *out_length) {
  const tokenizer *t = r->t;
  const char *at = text, *end = text + length;
  buffer out = {&r->c->memory, NULL, 0, 0};
  char bytes[4];
  size_t size, i, count;
  for (; at < end; at += size) {
    uint32_t code = utf8_read(at, end, &size);
    if (t->clean_text) {
      if (!code || is_control(code)) continue;
      if (is_white(code)) code = ' ';
    }
    if (t->chinese_chars && is_chinese(code)) {
      buffer_add(r->c, &out, " ", 1);
      buffer_add(r->c, &out, bytes, utf8_write(bytes, code));
      buffer_add(r->c, &out, " ", 1);
    } else {
      buffer_add(r->c, &out, bytes, utf8_write(bytes, code));
    }
  }
  if (t->strip_accents && out.length) {
    const char *whole;
    buffer plain = {&r->c->memory, NULL, 0, 0};
    whole = normalized(r->c, &r->c->memory, out.bytes, out.length, false, &count);
    for (at = whole; at < whole + count; at += size) {
      uint32_t code = utf8_read(at, whole + count, &size);
      if (!is_nonspacing(code)) buffer_add(r->c, &plain, at, size);
    }
    out = plain;
  }
  if (t->lowercase && out.length) {
    buffer lowered = {&r->c->memory, NULL, 0, 0};
    for (at = out.bytes; at < out.bytes + out.length; at += size) {
      uint32_t to[3];
      count = to_lower(utf8_read(at, out.bytes + out.length, &size), to);
      for (i = 0; i < count; i++) buffer_add(r->c, &lowered, bytes, utf8_write(bytes, to[i]));
    }
    out = lowered;
  }
  *out_length = out.length;
  return out.bytes ? out.bytes : "";
}

static bool is_word(uint32_t code) {
  return is_letter(code) || is_number(code) || is_nonspacing(code) || code == '_';
}

/* The first added token at or behind `at`; of several that begin there the longest. */
static const added_token *find_added(const tokenizer *t, const char *text, const char *at,
                                     const char *end, bool of_normalized, const char **where) {
  size_t i;
  for (; at < end; at++) {
    const added_token *best = NULL;
    for (i = 0; i < t->num_added; i++) {
      const added_token *a = &t->added[i];
      if (a->normalized != of_normalized || a->length > (size_t)(end - at) ||
          memcmp(at, a->text, a->length))
        continue;
      if (!best || a->length > best->length) best = a;
    }
    if (!best) continue;
    if (best->single_word) {
      const char *before = at;
      size_t size;
      if (at > text) {
        do before--;
        while (before > text && ((unsigned char)*before & 0xC0) == 0x80);
        if (is_word(utf8_read(before, end, &size))) continue;
      }
      if (at + best->length < end && is_word(utf8_read(at + best->length, end, &size))) continue;
    }
    *where = at;
    return best;
  }
  return NULL;
}

static void encode_normalized(row *r, const char *text, size_t length);

/* Cut at added tokens that are looked for in the text as it is, or as it is normalised. */
static void encode_around(row *r, const char *text, size_t length, bool of_normalized) {
  const char *end = text + length, *at = text, *where, *stop;
  const added_token *found;
  size_t size;
  while ((found = find_added(r->t, text, at, end, of_normalized, &where))) {
    stop = where;
    if (found->lstrip) {
      while (stop > at) {
        const char *before = stop;
        do before--;
        while (before > at && ((unsigned char)*before & 0xC0) == 0x80);
        if (!is_white(utf8_read(before, end, &size))) break;
        stop = before;
      }
    }
    if (of_normalized)
      encode_plain(r, at, (size_t)(stop - at));
    else
      encode_normalized(r, at, (size_t)(stop - at));
    put(r, found->id);
    at = where + found->length;
    while (found->rstrip && at < end && is_white(utf8_read(at, end, &size))) at += size;
  }
  if (of_normalized)
    encode_plain(r, at, (size_t)(end - at));
  else
    encode_normalized(r, at, (size_t)(end - at));
}

static void encode_normalized(row *r, const char *text, size_t length) {
  if (!length) return;
  if (r->t->normalizing == COMPOSE)
    text = normalized(r->c, &r->c->memory, text, length, true, &length);
  else if (r->t->normalizing == BERT)
    text = bert_normalized(r, text, length, &length);
  encode_around(r, text, length, true);
}

/* A text whose bytes are no UTF-8 gets U+FFFD in their place. */
static const char *valid(call *c, const char *text, size_t *length) {
  const char *at = text, *end = text + *length;
  buffer out = {&c->memory, NULL, 0, 0};
  bool sound = true;
  char bytes[4];
  size_t size;
  for (; at < end && sound; at += size)
    sound = utf8_read(at, end, &size) != 0xFFFD || size == 3;
  if (sound) return text;
  for (at = text; at < end; at += size) {
    uint32_t code = utf8_read(at, end, &size);
    buffer_add(c, &out, bytes, utf8_write(bytes, code));
  }
  *length = out.length;
  return out.bytes;
}

token_ids tokenizer_encode(call *c, arena *from, const tokenizer *t, const char *text,
                           size_t length, bool special_tokens, size_t max_tokens) {
  row r = {c, from, t, {NULL, 0}, 0};
  size_t around = special_tokens ? t->num_before + t->num_after : 0, i, start = 0;
  if (length > 1u << 30) fail(c, MRT_BAD_INPUT, "a text of %zu bytes is too long", length);
  text = valid(c, text, &length);
  for (i = 0; special_tokens && i < t->num_before; i++) put(&r, t->before[i]), start++;
  encode_around(&r, text, length, false);
  if (max_tokens && r.out.count - start + around > max_tokens)
    r.out.count = start + (max_tokens > around ? max_tokens - around : 0);
  for (i = 0; special_tokens && i < t->num_after; i++) put(&r, t->after[i]);
  if (max_tokens && r.out.count > max_tokens) r.out.count = max_tokens;
  return r.out;
}
