/* From a prompt to its embedding: prompt book, or tokenizer and text encoder. */
#ifndef MRT_TEXT_H
#define MRT_TEXT_H

#include "bundle.h"
#include "tokenizer.h"

#define MAX_PROMPT_WORDS 1000

typedef struct text_sources text_sources;

/* Read the text section of a bundle; graphs are loaded when they are first needed. */
text_sources *text_open(call *c, arena *from, const bundle *b, const session_options *options);
bool text_has_encoder(const text_sources *t);
int32_t text_num_book_prompts(const text_sources *t);
const char *text_book_prompt(const text_sources *t, int32_t index);
/* Write the embedding (W) of a prompt, cleaned first; returns false, and writes zeros, for a blank
 * one. width is what the model takes. */
bool text_embed(call *c, text_sources *t, const char *prompt, float *embedding, int32_t width);

#endif
