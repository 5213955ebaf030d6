/* Unicode: characters of UTF-8 texts and what they are. */
#ifndef MRT_UNICODE_H
#define MRT_UNICODE_H

#include "call.h"

/* The character at `at` and its length in bytes; a byte that is no UTF-8 is U+FFFD of length 1. */
uint32_t utf8_read(const char *at, const char *end, size_t *length);
/* Write a character; returns the number of bytes, at most 4. */
size_t utf8_write(char *out, uint32_t character);

bool is_space(uint32_t character);  /* as Python's str.isspace */
bool is_white(uint32_t character);  /* White_Space: \s of the tokenizers' patterns */
bool is_letter(uint32_t character); /* \p{L} */
bool is_number(uint32_t character); /* \p{N} */
bool is_mark(uint32_t character);   /* \p{M} */
bool is_nonspacing(uint32_t character); /* \p{Mn}: accents that stand over or under */
bool is_alnum(uint32_t character);  /* as Python's str.isalnum */
bool is_control(uint32_t character); /* \p{C}: control, format, unassigned, private use */
bool is_punctuation(uint32_t character); /* \p{P} */

/* Mappings to lower, upper and title case, of up to three characters; returns how many. */
size_t to_lower(uint32_t character, uint32_t out[3]);
size_t to_upper(uint32_t character, uint32_t out[3]);
size_t to_title(uint32_t character, uint32_t out[3]);
bool is_cased(uint32_t character);
bool is_case_ignorable(uint32_t character);

/* The canonical form of a text: composed (NFC) or decomposed (NFD). */
char *normalized(call *c, arena *from, const char *text, size_t length, bool composed,
                 size_t *out_length);

/* Number of words between blanks. */
size_t count_words(const char *text);
/* A text without blanks at its end; its first words, joined by single blanks. */
char *trim_end(call *c, arena *from, const char *text);
char *first_words(call *c, arena *from, const char *text, size_t count);

#endif
