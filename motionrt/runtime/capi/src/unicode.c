#include "unicode.h"

#include <stdlib.h>
#include <string.h>

typedef struct case_pair {
  uint32_t from, to;
} case_pair;
typedef struct case_several {
  uint32_t from, to[3];
} case_several;
typedef struct decomposition {
  uint32_t whole, parts[2];
} decomposition;
typedef struct composition {
  uint32_t first, second, whole;
} composition;

#include "unicode_tables.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define LAST_CHARACTER 0x10FFFFu

/* Bits of property_values, in the order of make_tables.py. */
enum {
  SPACE = 1 << 0,
  ALNUM = 1 << 1,
  CASED = 1 << 2,
  IGNORABLE = 1 << 3,
  LETTER = 1 << 4,
  NUMBER = 1 << 5,
  WHITE = 1 << 6,
  SIGN = 1 << 7,
  CONTROL = 1 << 8,
  NONSPACING = 1 << 9
};

uint32_t utf8_read(const char *at, const char *end, size_t *length) {
  const unsigned char *b = (const unsigned char *)at;
  size_t left = (size_t)(end - at), count, i;
  uint32_t code, least;
  *length = 1;
  if (b[0] < 0x80) return b[0];
  if (b[0] < 0xC2 || b[0] > 0xF4) return 0xFFFD;
  count = b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
  least = count == 2 ? 0x80 : count == 3 ? 0x800 : 0x10000;
  if (left < count) return 0xFFFD;
  code = b[0] & (0x7Fu >> count);
  for (i = 1; i < count; i++) {
    if ((b[i] & 0xC0) != 0x80) return 0xFFFD;
    code = code << 6 | (b[i] & 0x3F);
  }
  if (code < least || code > LAST_CHARACTER || (code >= 0xD800 && code < 0xE000)) return 0xFFFD;
  *length = count;
  return code;
}

size_t utf8_write(char *out, uint32_t code) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  if (code < 0x800) {
    out[0] = (char)(0xC0 | code >> 6);
    out[1] = (char)(0x80 | (code & 63));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (char)(0xE0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 63));
    out[2] = (char)(0x80 | (code & 63));
    return 3;
  }
  out[0] = (char)(0xF0 | code >> 18);
  out[1] = (char)(0x80 | (code >> 12 & 63));
  out[2] = (char)(0x80 | (code >> 6 & 63));
  out[3] = (char)(0x80 | (code & 63));
  return 4;
}

/* The run of a table that a character is in. */
static size_t run_of(const uint32_t *starts, size_t count, uint32_t code) {
  size_t low = 0, high = count;
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    if (starts[middle] <= code)
      low = middle;
    else
      high = middle;
  }
  return low;
}

static bool has(uint32_t code, unsigned flag) {
  return code <= LAST_CHARACTER &&
         (property_values[run_of(property_starts, COUNT(property_starts), code)] & flag);
}

bool is_space(uint32_t code) { return has(code, SPACE); }
bool is_alnum(uint32_t code) { return has(code, ALNUM); }
bool is_cased(uint32_t code) { return has(code, CASED); }
bool is_case_ignorable(uint32_t code) { return has(code, IGNORABLE); }
bool is_letter(uint32_t code) { return has(code, LETTER); }
bool is_number(uint32_t code) { return has(code, NUMBER); }
bool is_white(uint32_t code) { return has(code, WHITE); }
bool is_sign(uint32_t code) { return has(code, SIGN); }
bool is_control(uint32_t code) { return has(code, CONTROL); }
bool is_nonspacing(uint32_t code) { return has(code, NONSPACING); }

static int compare_first(const void *key, const void *entry) {
  uint32_t a = *(const uint32_t *)key, b = *(const uint32_t *)entry;
  return a < b ? -1 : a > b;
}

#define FIND(table, code) bsearch(&(code), table, COUNT(table), sizeof *(table), compare_first)

static size_t single(const case_pair *found, uint32_t code, uint32_t out[3]) {
  out[0] = found ? found->to : code;
  return 1;
}

static size_t several(const case_several *found, uint32_t out[3]) {
  size_t count = 0;
  while (count < 3 && found->to[count]) {
    out[count] = found->to[count];
    count++;
  }
  return count;
}

#define CASE_FUNCTION(name)                                          \
  size_t to_##name(uint32_t code, uint32_t out[3]) {                 \
    const case_several *found = FIND(name##_several, code);          \
    if (found) return several(found, out);                           \
    return single(FIND(name##_single, code), code, out);             \
  }
CASE_FUNCTION(lower)
CASE_FUNCTION(upper)
CASE_FUNCTION(title)

/* ---- Normal forms (Unicode Standard Annex 15) ---- */

enum { HANGUL = 0xAC00, LEAD = 0x1100, VOWEL = 0x1161, TRAIL = 0x11A7,
       NUM_VOWELS = 21, NUM_TRAILS = 28, NUM_HANGUL = 11172 };

static unsigned combining(uint32_t code) {
  return combining_values[run_of(combining_starts, COUNT(combining_starts), code)];
}

typedef struct characters {
  uint32_t *codes;
  size_t count;
} characters;

static void decompose(uint32_t code, characters *out) {
  const decomposition *found;
  if (code >= HANGUL && code < HANGUL + NUM_HANGUL) {
    uint32_t index = code - HANGUL, trail = index % NUM_TRAILS;
    out->codes[out->count++] = LEAD + index / (NUM_VOWELS * NUM_TRAILS);
    out->codes[out->count++] = VOWEL + index / NUM_TRAILS % NUM_VOWELS;
    if (trail) out->codes[out->count++] = TRAIL + trail;
    return;
  }
  found = FIND(decompositions, code);
  if (!found) {
    out->codes[out->count++] = code;
    return;
  }
  decompose(found->parts[0], out);
  if (found->parts[1]) decompose(found->parts[1], out);
}

static int compare_pair(const void *key, const void *entry) {
  const composition *a = key, *b = entry;
  if (a->first != b->first) return a->first < b->first ? -1 : 1;
  return a->second < b->second ? -1 : a->second > b->second;
}

static uint32_t compose(uint32_t first, uint32_t second) {
  composition key = {first, second, 0}, *found;
  if (first >= LEAD && first < LEAD + 19 && second >= VOWEL && second < VOWEL + NUM_VOWELS)
    return HANGUL + ((first - LEAD) * NUM_VOWELS + (second - VOWEL)) * NUM_TRAILS;
  if (first >= HANGUL && first < HANGUL + NUM_HANGUL && (first - HANGUL) % NUM_TRAILS == 0 &&
      second > TRAIL && second < TRAIL + NUM_TRAILS)
    return first + (second - TRAIL);
  found = bsearch(&key, compositions, COUNT(compositions), sizeof key, compare_pair);
  return found ? found->whole : 0;
}

char *normalized(call *c, arena *from, const char *text, size_t length, bool composed,
                 size_t *out_length) {
  characters all;
  size_t i, k, size, kept;
  const char *at = text, *end = text + length;
  char *out;
  all.count = 0;
  all.codes = TEMP(c, uint32_t, length * 4 + 1); /* none becomes more than four */
  while (at < end) {
    decompose(utf8_read(at, end, &size), &all);
    at += size;
  }
  for (i = 1; i < all.count; i++) { /* marks in the order of their classes */
    unsigned class = combining(all.codes[i]);
    uint32_t code = all.codes[i];
    if (!class) continue;
    for (k = i; k > 0 && combining(all.codes[k - 1]) > class; k--)
      all.codes[k] = all.codes[k - 1];
    all.codes[k] = code;
  }
  if (composed && all.count) {
    size_t starter = 0;
    bool has_starter = combining(all.codes[0]) == 0;
    unsigned last = 0;
    for (i = kept = 1; i < all.count; i++) {
      uint32_t code = all.codes[i], whole;
      unsigned class = combining(code);
      bool blocked = kept - 1 != starter && (last >= class || last == 0);
      if (has_starter && !blocked && (whole = compose(all.codes[starter], code))) {
        all.codes[starter] = whole;
        continue;
      }
      if (!class) {
        starter = kept;
        has_starter = true;
      }
      last = class;
      all.codes[kept++] = code;
    }
    all.count = kept;
  }
  out = TAKE(c, from, char, all.count * 4 + 1);
  size = 0;
  for (i = 0; i < all.count; i++) size += utf8_write(out + size, all.codes[i]);
  *out_length = size;
  return out;
}

/* ---- Words ---- */

char *trim_end(call *c, arena *from, const char *text) {
  const char *at = text, *end = text + strlen(text), *last = text;
  while (at < end) {
    size_t size;
    uint32_t code = utf8_read(at, end, &size);
    at += size;
    if (!is_space(code)) last = at;
  }
  return arena_copy(c, from, text, (size_t)(last - text));
}

/* The next word at or behind `at`; NULL if there is none. */
static const char *next_word(const char *at, const char *end, size_t *length) {
  const char *start = NULL;
  size_t size;
  for (; at < end; at += size) {
    bool blank = is_space(utf8_read(at, end, &size));
    if (blank && start) break;
    if (!blank && !start) start = at;
  }
  *length = start ? (size_t)(at - start) : 0;
  return start;
}

char *first_words(call *c, arena *from, const char *text, size_t count) {
  const char *end = text + strlen(text), *word;
  buffer out = {from, NULL, 0, 0};
  size_t length, i;
  for (i = 0; i < count && (word = next_word(text, end, &length)); i++) {
    if (i) buffer_add(c, &out, " ", 1);
    buffer_add(c, &out, word, length);
    text = word + length;
  }
  return out.bytes ? out.bytes : arena_copy(c, from, "", 0);
}

size_t count_words(const char *text) {
  const char *end = text + strlen(text), *word;
  size_t length, count = 0;
  for (; (word = next_word(text, end, &length)); text = word + length) count++;
  return count;
}
