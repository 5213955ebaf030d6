/* What is asked for: validated once; the public functions and JSON requests both become it. */
#ifndef MRT_REQUEST_H
#define MRT_REQUEST_H

#include "constraints.h"
#include "noise.h"

typedef struct request {
  int32_t num_prompts;
  const char **prompts;
  double *seconds;      /* (num_prompts) */
  int32_t *num_frames;  /* (num_prompts), resolved */
  bool sequence;        /* the prompts are one motion */
  int32_t *motion_of;   /* (num_prompts) rising: the motion that each is a part of, instead; or NULL */
  bool has_seed;
  uint32_t seed;
  int32_t num_samples;
  bool sample_seeds;
  int32_t num_steps;    /* 0: the model's */
  const char *solver;   /* NULL: the model's */
  const char *preset;   /* or NULL */
  int32_t num_weights;  /* -1: the model's guidance; 0: none; 1: text; 2: text, constraints */
  float weights[2];
  double guided_from, guided_to; /* of the base steps, 0 to 1; NaN: the preset's, else all */
  double guidance_scale; /* MotionGPT3's; NaN: the model's */
  double temperature;    /* MotionGPT3's; NaN: the model's */
  const char *text_template; /* MotionGPT3's name or text; NULL: the model's */
  double first_heading;
  const json *constraints_document; /* parsed, or NULL */
  const char *constraints_place;    /* where it is from */
  const mrt_constraint *constraints;
  int32_t num_constraints;
  int32_t postprocess;  /* -1: the model's */
  double root_margin;
  int32_t num_transition_frames;
  bool no_chain; /* a long prompt is made in one piece */
  int32_t history_frames; /* ARDY's; 0: as many as it was trained with */
  const compat *compat;
  const mrt_motion *continue_from;
  const float *embeddings;       /* (num_prompts, num_tokens, W), or NULL */
  const uint8_t *embedding_mask; /* (num_prompts, num_tokens), or NULL */
  int32_t num_tokens;
  const float *headings;   /* (number of motions), or NULL */
  const float *noise;      /* or NULL */
  int64_t num_noise;
  mrt_progress_fn progress;
  void *progress_user;
} request;

/* The public options as a request, checked; prompts are to be set. options may be NULL. */
request request_make(call *c, const mrt_generate_options *options);
/* Read a JSON request; files in it are relative to folder. splits_prompts: the sentences of a prompt
 * are parts of one motion, without being asked for. */
request request_parse(call *c, const char *text, const char *folder,
                      const mrt_generate_options *options, const char *family,
                      bool splits_prompts);
/* The motions that its prompts make, a sample of each. */
int32_t request_num_motions(const request *r);
/* The motion that a prompt is a part of. */
int32_t request_motion_of(const request *r, int32_t prompt);
/* Draw standard normal values, of the seed's stream or of those that were given. */
void draw(call *c, const request *r, noise *stream, float *values, size_t count);
/* The constraints of both kinds that are asked for. */
constraints given_constraints(call *c, const request *r, const mrt_skeleton *skeleton);
/* Tell how far it is; leaves the call when it is to stop. */
void report(call *c, const request *r, const char *stage, int32_t done, int32_t total);

#endif
