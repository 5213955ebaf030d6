#include "unicode.h"

#include <string.h>

/* The tables are packed: what a call needs of them it looks up in them as they are. */
typedef struct character_kind {
  uint16_t flags;
  uint8_t combining; /* class of a mark; 0 of what is none */
} character_kind;
typedef struct case_run { /* count characters, step apart, that all move by change */
  uint32_t first : 21, count : 9, step : 2;
  int32_t change;
} case_run;
typedef struct case_several {
  uint16_t from, to[3];
} case_several;
typedef struct whole_run { /* characters one after the other; index: of the first, in columns */
  uint32_t first : 21, index : 11;
} whole_run;

#include "unicode_tables.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define LAST_CHARACTER 0x10FFFFu

/* Bits of flags, in the order of make_tables.py. */
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

/* Set low to the last row in [low, high) for which `at_or_before` holds, or leave it. */
#define FIND_LAST(low, high, row, at_or_before) \
  while ((high) - (low) > 1) {                  \
    size_t row = ((low) + (high)) / 2;          \
    if (at_or_before)                           \
      low = row;                                \
    else                                        \
      high = row;                               \
  }

static const character_kind *kind_of(uint32_t code) {
  size_t low = kind_planes[code >> 16], high = kind_planes[(code >> 16) + 1];
  uint16_t within = (uint16_t)code;
  FIND_LAST(low, high, row, kind_starts[row] <= within)
  return &kinds[kind_indices[low]];
}

static bool has(uint32_t code, unsigned flag) {
  return code <= LAST_CHARACTER && (kind_of(code)->flags & flag);
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

/* What a mapping makes of a character; 0 if it says nothing of it. */
static size_t mapped(const case_run *moved, size_t num_moved, const case_several *several,
                     size_t num_several, uint32_t code, uint32_t out[3]) {
  size_t low = 0, high = num_moved, count = 0;
  FIND_LAST(low, high, row, moved[row].first <= code)
  if (code >= moved[low].first) {
    uint32_t behind = code - moved[low].first;
    if (behind < (uint32_t)moved[low].count * moved[low].step && behind % moved[low].step == 0) {
      out[0] = (uint32_t)((int32_t)code + moved[low].change);
      return 1;
    }
  }
  low = 0;
  high = num_several;
  FIND_LAST(low, high, row, several[row].from <= code)
  if (several[low].from != code) return 0;
  while (count < 3 && several[low].to[count]) {
    out[count] = several[low].to[count];
    count++;
  }
  return count;
}

#define MAPPED(name) \
  mapped(name##_moved, COUNT(name##_moved), name##_several, COUNT(name##_several), code, out)

static size_t itself(uint32_t code, uint32_t out[3]) {
  out[0] = code;
  return 1;
}

size_t to_lower(uint32_t code, uint32_t out[3]) {
  size_t count = MAPPED(lower);
  return count ? count : itself(code, out);
}

size_t to_upper(uint32_t code, uint32_t out[3]) {
  size_t count = MAPPED(upper);
  return count ? count : itself(code, out);
}

size_t to_title(uint32_t code, uint32_t out[3]) {
  size_t count = MAPPED(title);
  return count ? count : to_upper(code, out);
}

/* ---- Normal forms (Unicode Standard Annex 15) ---- */

enum { HANGUL = 0xAC00, LEAD = 0x1100, VOWEL = 0x1161, TRAIL = 0x11A7,
       NUM_VOWELS = 21, NUM_TRAILS = 28, NUM_HANGUL = 11172 };

static unsigned combining(uint32_t code) { return kind_of(code)->combining; }

/* Where a character stands in the columns of its table; SIZE_MAX if it is not in it. */
static size_t index_of(const whole_run *runs, size_t count, uint32_t code) {
  size_t low = 0, high = count - 1, index;
  FIND_LAST(low, high, row, runs[row].first <= code)
  if (code < runs[low].first) return SIZE_MAX;
  index = runs[low].index + (size_t)(code - runs[low].first);
  return index < runs[low + 1].index ? index : SIZE_MAX;
}

static uint32_t whole_of(size_t index) {
  size_t low = 0, high = COUNT(pair_runs) - 1;
  FIND_LAST(low, high, row, pair_runs[row].index <= index)
  return pair_runs[low].first + (uint32_t)(index - pair_runs[low].index);
}

typedef struct characters {
  uint32_t *codes;
  size_t count;
} characters;

static void decompose(uint32_t code, characters *out) {
  size_t index;
  if (code < 0xC0) { /* the first that is put together */
    out->codes[out->count++] = code;
    return;
  }
  if (code >= HANGUL && code < HANGUL + NUM_HANGUL) {
    uint32_t index = code - HANGUL, trail = index % NUM_TRAILS;
    out->codes[out->count++] = LEAD + index / (NUM_VOWELS * NUM_TRAILS);
    out->codes[out->count++] = VOWEL + index / NUM_TRAILS % NUM_VOWELS;
    if (trail) out->codes[out->count++] = TRAIL + trail;
    return;
  }
  index = index_of(pair_runs, COUNT(pair_runs), code);
  if (index != SIZE_MAX) { /* all of one plane; the second is put together of no others */
    decompose((code & ~0xFFFFu) | pair_firsts[index], out);
    decompose(seconds[pair_seconds[index]], out);
    return;
  }
  index = index_of(single_runs, COUNT(single_runs), code);
  if (index != SIZE_MAX) {
    bool high = single_in_plane_2[index / 8] >> index % 8 & 1;
    decompose((high ? 0x20000u : 0) | single_parts[index], out);
    return;
  }
  out->codes[out->count++] = code;
}

static uint32_t compose(uint32_t first, uint32_t second) {
  size_t low = 0, high = COUNT(seconds), last;
  if (first >= LEAD && first < LEAD + 19 && second >= VOWEL && second < VOWEL + NUM_VOWELS)
    return HANGUL + ((first - LEAD) * NUM_VOWELS + (second - VOWEL)) * NUM_TRAILS;
  if (first >= HANGUL && first < HANGUL + NUM_HANGUL && (first - HANGUL) % NUM_TRAILS == 0 &&
      second > TRAIL && second < TRAIL + NUM_TRAILS)
    return first + (second - TRAIL);
  FIND_LAST(low, high, row, seconds[row] <= second)
  if (seconds[low] != second || first >> 16 != second >> 16) return 0;
  last = low;
  low = 0;
  high = COUNT(composed);
  FIND_LAST(low, high, row,
            pair_seconds[composed[row]] < last ||
                (pair_seconds[composed[row]] == last &&
                 pair_firsts[composed[row]] <= (uint16_t)first))
  low = composed[low];
  return pair_seconds[low] == last && pair_firsts[low] == (uint16_t)first ? whole_of(low) : 0;
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
