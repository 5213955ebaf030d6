/* A bundle, loaded; and what a family of models has to offer. */
#ifndef MRT_PIPELINE_H
#define MRT_PIPELINE_H

#include "bundle.h"
#include "lock.h"
#include "motion.h"
#include "request.h"

/* One row a family; a new one is a file and a row in pipeline.c. */
typedef struct family {
  const char *name;
  bool takes_sequences, takes_constraints, streams;
  bool splits_prompts; /* the sentences of a JSON request's prompt are a sequence */
  const char *const *graphs; /* that are held when all are loaded; NULL ends them */
  /* Read the sections of the manifest that are the family's; the result is kept as `model`. */
  void *(*open)(call *c, mrt_pipeline *p);
  /* How many frames a prompt of a request may have. */
  int32_t (*max_frames)(const mrt_pipeline *p, const request *r);
  /* Generate motions prompt by prompt and sample by sample (a sequence: sample by sample). */
  mrt_motions *(*generate)(call *c, mrt_pipeline *p, const request *r, uint32_t seed);
  int32_t (*num_features)(const mrt_pipeline *p);
  int32_t (*text_width)(const mrt_pipeline *p); /* 0: takes no embeddings */
  bool (*has_text_encoder)(const mrt_pipeline *p);
  int32_t (*num_book_prompts)(const mrt_pipeline *p);
  const char *(*book_prompt)(const mrt_pipeline *p, int32_t index);
  /* The tokens of a prompt, as text_tokens gives them. */
  const float *(*embed)(call *c, mrt_pipeline *p, const char *prompt, int32_t *num_tokens);
  int32_t (*max_text_tokens)(const mrt_pipeline *p); /* of an embedding; 0: takes none */
} family;

extern const family ardy_family;
extern const family kimodo_family;
extern const family motiongpt3_family;

struct mrt_pipeline {
  arena keep; /* holds all of it */
  flag busy;
  bundle bundle;
  session_options session;
  mrt_runner runner; /* the session options name it, if it was given */
  const family *family;
  void *model;
};

/* Use a pipeline until the call ends; MRT_BUSY if another thread does. */
void pipeline_hold(call *c, mrt_pipeline *p);
/* A seed that differs from one call to the next. */
uint32_t draw_seed(void);

#endif
