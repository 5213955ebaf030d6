/* Unicode: characters of UTF-8 texts and what they are. */
#ifndef MRT_UNICODE_H
#define MRT_UNICODE_H

#include "call.h"

/* The character at `at` and its length in bytes; a byte that is no UTF-8 is U+FFFD of length 1. */
uint32_t utf8_read(const char *at, const char *end, size_t *length);
/* Write a character; returns the number of bytes, at most 4. */
size_t utf8_write(char *out, uint32_t character);

/* As Python's strings have it. */
bool is_space(uint32_t character);
bool is_alnum(uint32_t character);
bool is_cased(uint32_t character);
bool is_case_ignorable(uint32_t character);
/* As the tokenizers package has it: \p{L}, \p{N} and \s of patterns; BERT's signs, characters that
 * are cleaned away, and accents that are stripped. */
bool is_letter(uint32_t character);
bool is_number(uint32_t character);
bool is_white(uint32_t character);
bool is_sign(uint32_t character);
bool is_control(uint32_t character);
bool is_nonspacing(uint32_t character);

/* Mappings to lower, upper and title case, of up to three characters; returns how many. */
size_t to_lower(uint32_t character, uint32_t out[3]);
size_t to_upper(uint32_t character, uint32_t out[3]);
size_t to_title(uint32_t character, uint32_t out[3]);

/* The canonical form of a text: composed (NFC) or decomposed (NFD). */
char *normalized(call *c, arena *from, const char *text, size_t length, bool composed,
                 size_t *out_length);

/* Number of words between blanks. */
size_t count_words(const char *text);
/* A text without blanks at its end; its first words, joined by single blanks. */
char *trim_end(call *c, arena *from, const char *text);
char *first_words(call *c, arena *from, const char *text, size_t count);

#endif
