/* Tokenizers by their tokenizer.json: byte-level BPE (GPT-2, Llama 3, Qwen2/3) and WordPiece. */
#ifndef MRT_TOKENIZER_H
#define MRT_TOKENIZER_H

#include "json.h"

typedef struct tokenizer tokenizer;

typedef struct token_ids {
  int32_t *ids;
  size_t count;
} token_ids;

/* Read a tokenizer.json; MRT_BAD_BUNDLE for one of a kind that is not known, with what it has. */
tokenizer *tokenizer_parse(call *c, arena *from, const char *text, size_t length,
                           const char *place);
/* Token ids of a UTF-8 text; with special_tokens the template's are added. A row of more than
 * max_tokens (0: any number) loses text at its end, not what the template adds. Bytes that are no
 * UTF-8 are taken as U+FFFD each. */
token_ids tokenizer_encode(call *c, arena *from, const tokenizer *t, const char *text,
                           size_t length, bool special_tokens, size_t max_tokens);
/* The id of a token by its text, -1 if there is none. */
int32_t tokenizer_find(const tokenizer *t, const char *token);

#endif
