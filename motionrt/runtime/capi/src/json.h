/* JSON, parsed into a tree; the text must be UTF-8. */
#ifndef MRT_JSON_H
#define MRT_JSON_H

#include "call.h"

typedef enum json_kind {
  JSON_NULL,
  JSON_FALSE,
  JSON_TRUE,
  JSON_NUMBER,
  JSON_STRING,
  JSON_ARRAY,
  JSON_OBJECT
} json_kind;

typedef struct json {
  json_kind kind;
  bool whole;          /* a number without fraction and exponent, that `integer` holds */
  int32_t num_items;   /* of an array or object */
  double number;
  int64_t integer;
  const char *key;     /* in an object */
  const char *string;  /* may hold zero bytes: see length */
  size_t length, key_length;
  struct json *first, *next;
} json;

/* Parse a document. place begins the line of an error, whose status is given. */
const json *json_parse(call *c, arena *from, const char *text, size_t length, mrt_status status,
                       const char *place);
/* The member of an object, its last of that name; NULL if there is none, or it is null. */
const json *json_get(const json *object, const char *key);
bool json_is(const json *value, const char *text);
/* Parse a decimal number as JSON writes it, whatever the locale; returns its end, NULL if none. */
const char *parse_number(const char *text, const char *end, double *number, bool *whole,
                         int64_t *integer);

#endif
