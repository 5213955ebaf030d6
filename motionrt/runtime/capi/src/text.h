/* From a prompt to its embedding: prompt book, or tokenizer and text encoder. */
#ifndef MRT_TEXT_H
#define MRT_TEXT_H

#include "bundle.h"
#include "tokenizer.h"

#define MAX_PROMPT_WORDS 1000

typedef struct text_sources text_sources;

/* Read the text section of a bundle; graphs are loaded when they are first needed. */
typedef char *(*clean_fn)(call *c, arena *from, const char *prompt);
text_sources *text_open(call *c, arena *from, const bundle *b, const session_options *options,
                        clean_fn clean);
bool text_has_encoder(const text_sources *t);
int32_t text_num_book_prompts(const text_sources *t);
const char *text_book_prompt(const text_sources *t, int32_t index);
/* The embedding of a prompt, cleaned first: count tokens of width numbers, which is what the model
 * takes, and most of them at most. One that stands for the whole prompt is one token; a blank prompt
 * has none. It stays until the call ends. */
const float *text_tokens(call *c, text_sources *t, const char *prompt, int32_t width, int32_t most,
                         int32_t *count);

/* Tokens of prompts, or of the rows of a run: L of each, W numbers a token. */
typedef struct tokens {
  int32_t count; /* L */
  float *values; /* (B, L, W) */
  bool *mask;    /* (B, L) which are tokens; a row of none is a blank prompt */
} tokens;

tokens tokens_new(call *c, int32_t rows, int32_t count, int32_t width);
/* The embeddings of prompts; L is the most tokens of any. Where there are several, one of zeros is
 * none. */
tokens tokens_of(call *c, text_sources *t, const char *const *prompts, int32_t rows, int32_t width,
                 int32_t most);
/* Embeddings (B, L, W) that a caller gives; mask (B, L) says which are tokens, or is NULL: those that
 * are not zeros. */
tokens tokens_given(call *c, const float *embeddings, const uint8_t *mask, int32_t rows,
                    int32_t count, int32_t width, int32_t most);

#endif
