#include "prompt.h"

#include <string.h>

#include "unicode.h"

#define SENTENCE_MARKS ".!?"
/* What may end a prompt besides a letter or digit. */
#define CLOSING_MARKS ".!?\"])'"
#define SIGMA 0x3A3
#define SMALL_SIGMA 0x3C3
#define FINAL_SIGMA 0x3C2

typedef struct characters {
  uint32_t *codes;
  size_t count;
} characters;

static characters read_all(call *c, const char *text) {
  const char *end = text + strlen(text);
  characters all;
  size_t size;
  all.codes = TEMP(c, uint32_t, strlen(text) + 1);
  all.count = 0;
  for (; text < end; text += size) all.codes[all.count++] = utf8_read(text, end, &size);
  return all;
}

static char *write_all(call *c, arena *from, characters all) {
  char *out = TAKE(c, from, char, all.count * 4 + 1);
  size_t length = 0, i;
  for (i = 0; i < all.count; i++) length += utf8_write(out + length, all.codes[i]);
  return out;
}

static bool is_one_of(uint32_t code, const char *marks) {
  return code && code < 128 && strchr(marks, (int)code);
}

static characters without_outer_blanks(characters all) {
  while (all.count && is_space(all.codes[all.count - 1])) all.count--;
  while (all.count && is_space(*all.codes)) all.codes++, all.count--;
  return all;
}

/* Whether a capital sigma stands at the end of its word. */
static bool is_final(characters all, size_t at) {
  size_t i = at;
  while (i > 0 && is_case_ignorable(all.codes[i - 1])) i--;
  if (!i || !is_cased(all.codes[i - 1])) return false;
  for (i = at + 1; i < all.count && is_case_ignorable(all.codes[i]); i++) continue;
  return i == all.count || !is_cased(all.codes[i]);
}

/* The first character in title case, all others in lower case. */
static characters capitalized(call *c, characters all) {
  characters out;
  size_t i;
  out.codes = TEMP(c, uint32_t, all.count * 3 + 1);
  out.count = 0;
  for (i = 0; i < all.count; i++) {
    uint32_t *to = out.codes + out.count, code = all.codes[i];
    if (i == 0)
      out.count += to_title(code, to);
    else if (code == SIGMA)
      to[0] = is_final(all, i) ? FINAL_SIGMA : SMALL_SIGMA, out.count++;
    else
      out.count += to_lower(code, to);
  }
  return out;
}

/* Follow every mark by one blank and a capital. */
static characters spaced(call *c, characters all, uint32_t mark) {
  characters out;
  size_t i, start = 0;
  out.codes = TEMP(c, uint32_t, all.count * 5 + 1);
  out.count = 0;
  for (i = 0; i <= all.count; i++) {
    characters piece;
    if (i < all.count && all.codes[i] != mark) continue;
    piece.codes = all.codes + start;
    piece.count = i - start;
    piece = without_outer_blanks(piece);
    if (start) {
      out.codes[out.count++] = mark;
      out.codes[out.count++] = ' ';
    }
    if (piece.count) {
      out.count += to_upper(*piece.codes, out.codes + out.count);
      memcpy(out.codes + out.count, piece.codes + 1, (piece.count - 1) * sizeof *piece.codes);
      out.count += piece.count - 1;
    }
    start = i + 1;
  }
  return without_outer_blanks(out);
}

char *clean_prompt(call *c, arena *from, const char *text) {
  characters all = read_all(c, first_words(c, &c->memory, text, SIZE_MAX));
  size_t first, kept, i;
  if (!all.count) return arena_copy(c, from, "", 0);
  for (first = 0; first < all.count && !is_alnum(all.codes[first]); first++) continue;
  if (first == all.count) first = all.count - 1;
  all.codes += first, all.count -= first;
  all = capitalized(c, all);
  for (kept = all.count; kept > 0; kept--)
    if (is_alnum(all.codes[kept - 1]) || is_one_of(all.codes[kept - 1], CLOSING_MARKS)) break;
  all.count = kept ? kept : 1;
  if (!is_one_of(all.codes[all.count - 1], SENTENCE_MARKS)) {
    characters longer;
    longer.codes = TEMP(c, uint32_t, all.count + 1);
    memcpy(longer.codes, all.codes, all.count * sizeof *all.codes);
    longer.codes[all.count] = '.';
    longer.count = all.count + 1;
    all = longer;
  }
  for (i = 0; i < sizeof SENTENCE_MARKS - 1; i++) all = spaced(c, all, (uint32_t)SENTENCE_MARKS[i]);
  return write_all(c, from, all);
}

char **split_prompt(call *c, arena *from, const char *text, int32_t *count) {
  characters all = read_all(c, text);
  size_t i, start = 0, num_parts = 0;
  char **parts;
  for (i = 0; i < all.count; i++) num_parts += all.codes[i] == '.';
  if (num_parts > 1 << 20) fail(c, MRT_BAD_INPUT, "a prompt of %zu sentences", num_parts);
  parts = TAKE(c, from, char *, num_parts + 1);
  *count = 0;
  for (i = 0; i <= all.count; i++) {
    characters piece;
    if (i < all.count && all.codes[i] != '.') continue;
    piece.codes = all.codes + start;
    piece.count = i - start;
    piece = without_outer_blanks(piece);
    start = i + 1;
    if (!piece.count) continue;
    parts[(*count)++] = arena_print(c, from, "%s.", write_all(c, &c->memory, piece));
  }
  if (!*count) parts[(*count)++] = arena_copy(c, from, "", 0);
  return parts;
}
