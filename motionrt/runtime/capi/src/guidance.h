/* Classifier-free guidance: its modes, and the branches of a step that it runs. */
#ifndef MRT_GUIDANCE_H
#define MRT_GUIDANCE_H

#include "bundle.h"
#include "request.h"

typedef struct guidance {
  int32_t num_weights; /* 0: none, 1: regular, 2: separated (text, constraints) */
  float weights[2];
} guidance;

typedef struct branches {
  int64_t count;
  float text[3], held[3], weights[3]; /* text on, constraints on, weight */
} branches;

extern const char *const guidance_names[3]; /* by the number of weights */

/* The guidance of a bundle's sampler section. */
guidance guidance_read(call *c, const bundle *b);
/* What a request asks for, or else the bundle's. */
guidance guidance_settle(const request *r, guidance own);
/* Which branches run. The last is the one guided away from; one that would equal it adds nothing and
 * is left out. */
branches guidance_branches(const guidance *g, bool has_text, bool constrained);

#endif
