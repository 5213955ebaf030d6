/* A prompt before it meets a tokenizer: cleaned as in training, and split into parts. */
#ifndef MRT_PROMPT_H
#define MRT_PROMPT_H

#include "call.h"

/* Bring a prompt into the form that Kimodo was trained on; a blank one becomes empty. */
char *clean_prompt(call *c, arena *from, const char *text);
/* Split at every period into parts that end in one; a blank prompt is one empty part. */
char **split_prompt(call *c, arena *from, const char *text, int32_t *count);

#endif
