#include "json.h"

#include <math.h>
#include <string.h>

#define DEEPEST 64

typedef struct parser {
  call *c;
  arena *from;
  const char *start, *at, *end, *place;
  mrt_status status;
} parser;

static NO_RETURN void wrong(parser *p, const char *what) {
  fail(p->c, p->status, "%s: not JSON (%s at byte %zu)", p->place, what,
       (size_t)(p->at - p->start));
}

static void blanks(parser *p) {
  while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
    p->at++;
}

const char *parse_number(const char *text, const char *end, double *number, bool *whole,
                         int64_t *integer) {
  const char *at = text;
  uint64_t digits = 0;
  int num_digits = 0, exponent = 0;
  bool negative = at < end && *at == '-', fraction = false, exact = true;
  long double value;
  if (negative) at++;
  if (at >= end || *at < '0' || *at > '9') return NULL;
  if (*at == '0' && at + 1 < end && at[1] >= '0' && at[1] <= '9') return NULL;
  for (; at < end && *at >= '0' && *at <= '9'; at++) {
    if (num_digits < 18) {
      digits = digits * 10 + (uint64_t)(*at - '0');
      if (digits) num_digits++;
    } else {
      exact = false;
      if (exponent < 100000) exponent++;
    }
  }
  if (at < end && *at == '.') {
    fraction = true;
    at++;
    if (at >= end || *at < '0' || *at > '9') return NULL;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
      if (num_digits < 18) {
        digits = digits * 10 + (uint64_t)(*at - '0');
        if (digits) num_digits++;
        if (exponent > -100000) exponent--;
      }
    }
  }
  if (at < end && (*at == 'e' || *at == 'E')) {
    int given = 0;
    bool below;
    fraction = true;
    at++;
    below = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    if (at >= end || *at < '0' || *at > '9') return NULL;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
      if (given < 100000) given = given * 10 + (*at - '0');
    exponent += below ? -given : given;
  }
  value = (long double)digits;
  if (digits) {
    long double power = 1, base = 10;
    int left = exponent < 0 ? -exponent : exponent;
    if (left > 6000) left = 6000;
    for (; left; left >>= 1, base *= base)
      if (left & 1) power *= base;
    value = exponent < 0 ? value / power : value * power;
  }
  *number = (double)(negative ? -value : value);
  *whole = !fraction && exact;
  *integer = negative ? -(int64_t)digits : (int64_t)digits;
  return at;
}

static uint32_t hex4(parser *p) {
  uint32_t value = 0;
  int i;
  if (p->end - p->at < 4) wrong(p, "a character's number is cut off");
  for (i = 0; i < 4; i++) {
    char digit = *p->at++;
    value <<= 4;
    if (digit >= '0' && digit <= '9')
      value |= (uint32_t)(digit - '0');
    else if ((digit | 32) >= 'a' && (digit | 32) <= 'f')
      value |= (uint32_t)((digit | 32) - 'a' + 10);
    else
      wrong(p, "a character's number is no number");
  }
  return value;
}

static char *put_utf8(char *out, uint32_t code) {
  if (code < 0x80) {
    *out++ = (char)code;
  } else if (code < 0x800) {
    *out++ = (char)(0xC0 | code >> 6);
    *out++ = (char)(0x80 | (code & 63));
  } else if (code < 0x10000) {
    *out++ = (char)(0xE0 | code >> 12);
    *out++ = (char)(0x80 | (code >> 6 & 63));
    *out++ = (char)(0x80 | (code & 63));
  } else {
    *out++ = (char)(0xF0 | code >> 18);
    *out++ = (char)(0x80 | (code >> 12 & 63));
    *out++ = (char)(0x80 | (code >> 6 & 63));
    *out++ = (char)(0x80 | (code & 63));
  }
  return out;
}

/* Copy a string without its escapes; the text never grows by it. */
static const char *string(parser *p, size_t *length) {
  const char *closing = ++p->at;
  char *out, *result;
  while (closing < p->end && *closing != '"') closing += *closing == '\\' ? 2 : 1;
  if (closing >= p->end) wrong(p, "a text does not end");
  result = out = TAKE(p->c, p->from, char, (size_t)(closing - p->at) + 1);
  while (*p->at != '"') {
    unsigned char byte = (unsigned char)*p->at++;
    if (byte < 32) wrong(p, "a control character in a text");
    if (byte != '\\') {
      *out++ = (char)byte;
      continue;
    }
    switch (*p->at++) {
      case '"': *out++ = '"'; break;
      case '\\': *out++ = '\\'; break;
      case '/': *out++ = '/'; break;
      case 'b': *out++ = '\b'; break;
      case 'f': *out++ = '\f'; break;
      case 'n': *out++ = '\n'; break;
      case 'r': *out++ = '\r'; break;
      case 't': *out++ = '\t'; break;
      case 'u': {
        uint32_t code = hex4(p);
        if (code >= 0xD800 && code < 0xDC00 && p->end - p->at >= 6 && p->at[0] == '\\' &&
            p->at[1] == 'u') {
          uint32_t low;
          p->at += 2;
          low = hex4(p);
          if (low >= 0xDC00 && low < 0xE000)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
          else
            wrong(p, "half a character");
        }
        if (code >= 0xD800 && code < 0xE000) wrong(p, "half a character");
        out = put_utf8(out, code);
        break;
      }
      default: wrong(p, "an unknown escape");
    }
  }
  p->at++;
  *out = 0;
  *length = (size_t)(out - result);
  return result;
}

static json *value(parser *p, int depth);

static void items(parser *p, json *whole, int depth) {
  char closing = whole->kind == JSON_ARRAY ? ']' : '}';
  json **link = &whole->first;
  p->at++;
  blanks(p);
  if (p->at < p->end && *p->at == closing) {
    p->at++;
    return;
  }
  for (;;) {
    const char *key = NULL;
    size_t key_length = 0;
    if (whole->kind == JSON_OBJECT) {
      blanks(p);
      if (p->at >= p->end || *p->at != '"') wrong(p, "a key is missing");
      key = string(p, &key_length);
      blanks(p);
      if (p->at >= p->end || *p->at != ':') wrong(p, "a colon is missing");
      p->at++;
    }
    *link = value(p, depth + 1);
    (*link)->key = key;
    (*link)->key_length = key_length;
    link = &(*link)->next;
    whole->num_items++;
    blanks(p);
    if (p->at < p->end && *p->at == ',') {
      p->at++;
      continue;
    }
    if (p->at >= p->end || *p->at != closing) wrong(p, "a comma or bracket is missing");
    p->at++;
    return;
  }
}

static bool word(parser *p, const char *expected) {
  size_t length = strlen(expected);
  if ((size_t)(p->end - p->at) < length || memcmp(p->at, expected, length)) return false;
  p->at += length;
  return true;
}

static json *value(parser *p, int depth) {
  json *made = TAKE(p->c, p->from, json, 1);
  if (depth > DEEPEST) wrong(p, "nested too deeply");
  blanks(p);
  if (p->at >= p->end) wrong(p, "a value is missing");
  switch (*p->at) {
    case '{': made->kind = JSON_OBJECT; items(p, made, depth); break;
    case '[': made->kind = JSON_ARRAY; items(p, made, depth); break;
    case '"':
      made->kind = JSON_STRING;
      made->string = string(p, &made->length);
      break;
    default:
      if (word(p, "null")) {
        made->kind = JSON_NULL;
      } else if (word(p, "true")) {
        made->kind = JSON_TRUE;
      } else if (word(p, "false")) {
        made->kind = JSON_FALSE;
      } else {
        const char *after =
            parse_number(p->at, p->end, &made->number, &made->whole, &made->integer);
        if (!after) wrong(p, "no value");
        made->kind = JSON_NUMBER;
        p->at = after;
      }
  }
  return made;
}

const json *json_parse(call *c, arena *from, const char *text, size_t length, mrt_status status,
                       const char *place) {
  parser p = {c, from, text, text, text + length, place, status};
  const json *whole;
  if (length >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) p.at += 3;
  whole = value(&p, 0);
  blanks(&p);
  if (p.at != p.end) wrong(&p, "something behind the document");
  return whole;
}

const json *json_get(const json *object, const char *key) {
  const json *found = NULL, *item;
  size_t length = strlen(key);
  if (!object || object->kind != JSON_OBJECT) return NULL;
  for (item = object->first; item; item = item->next)
    if (item->key_length == length && !memcmp(item->key, key, length)) found = item;
  return found && found->kind != JSON_NULL ? found : NULL;
}

bool json_is(const json *value, const char *text) {
  return value && value->kind == JSON_STRING && value->length == strlen(text) &&
         !memcmp(value->string, text, value->length);
}
