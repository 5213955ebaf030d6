/* ARDY's networks as functions of arrays: tokens from features and back, one window of tokens.
 *
 * Features are normalised. A token is the root of its frames (5 a frame), then the body's latent.
 * Axes: B batch, N tokens, W numbers of a token, T frames, D features, K text tokens, H hidden width.
 */
#ifndef MRT_ARDY_NETWORK_H
#define MRT_ARDY_NETWORK_H

#include "guidance.h"
#include "pipeline.h"
#include "text.h"

typedef struct ardy {
  int32_t size; /* frames of a token */
  int32_t horizon; /* frames that a window generates */
  int32_t latent_width, width, num_base_steps, num_steps, num_text_tokens, text_width, hidden_width;
  bool takes_constraints, quantises, normalises;
  int32_t window_frames, longest_history; /* whole tokens */
  guidance guidance;
  motion_features features;
  const float *local_mean, *local_scale; /* (4) of the local root */
  const float *latent_mean, *latent_scale, *levels;
  const float *time_tokens; /* (base steps, 2 H) */
  text_sources *text;
  ort_session *sampler, *encoder, *decoder, *embed_text, *embed_constraints;
  lock running; /* one graph at a time: not every backend runs one for two threads */
} ardy;

/* What a piece of work takes with it. `work` is freed by who made it, often. */
typedef struct ardy_run {
  call *c;
  arena *work;
  const bundle *bundle;
  ardy *model;
  const request *request; /* whose progress callback is told */
} ardy_run;

/* Take a lock until it is released, or the call ends however it does. */
lock **lock_hold(call *c, lock *l);
void lock_release(lock **held);

/* Read a bundle's sizes, tables and text; load its graphs now or later. */
ardy *ardy_open(call *c, mrt_pipeline *p);
void ardy_load_graphs(call *c, mrt_pipeline *p, ardy *m);

/* The tokens of one prompt, read as tokens_of does. */
tokens ardy_tokens(const ardy_run *u, const char *prompt);
/* Embed a row of tokens as the denoiser takes it: text (K, 2 H) and which are tokens (K). */
void ardy_embed(const ardy_run *u, const tokens *from, int32_t row, float *text, bool *mask);
/* The first frame's heading in radians of normalised roots. */
float ardy_heading(const ardy *m, const float *root);
/* Where the root of one frame of tokens lies, x and z in metres; move tokens (B, N, W) by (B, 2). */
void ardy_place(const ardy *m, const float *root, float place[2]);
void ardy_move(const ardy *m, float *tokens, int32_t batch, int32_t num_tokens, const float *by,
               float sign);
/* The root (5) of a frame of tokens (N, W). */
static inline float *ardy_root(const ardy *m, float *tokens, int32_t frame) {
  return tokens + (size_t)(frame / m->size) * m->width + 5 * (frame % m->size);
}
/* Bring latents onto the grid of levels. */
void ardy_requantize(const ardy *m, float *tokens, size_t num_tokens);
/* Features (T, D), T whole tokens, to tokens (T / size, W). */
float *ardy_encode(const ardy_run *u, const float *features, int32_t num_frames);
/* Tokens (B, N, W) to features (B, T, D); lengths are frames of each, all if NULL. */
float *ardy_decode(const ardy_run *u, const float *tokens, int32_t batch, int32_t num_tokens,
                   const int32_t *lengths);

typedef struct ardy_window {
  int32_t batch;
  const float *history; /* (B, before, W) around the window's origin */
  int32_t before;
  const float *noise; /* (B, horizon / size, W) */
  const float *text;
  const bool *text_mask; /* (B, K, 2 H), (B, K) */
  const float *headings; /* (B) of the first frame of history, or that is generated */
  const float *places;   /* (B, 2) where the origin lies in the world */
  const float *observed, *mask; /* what is known of frames from the first of history on, or NULL */
  int32_t known_frames;         /* of each row: whole tokens */
  size_t row;                   /* numbers from one row of the batch to the next */
  guidance guidance;
  int32_t num_steps;
  int32_t index, of; /* of the windows that are made, for progress */
} ardy_window;

/* Generate tokens behind the history: (B, before + horizon / size, W). */
float *ardy_generate_window(const ardy_run *u, const ardy_window *w);

#endif
