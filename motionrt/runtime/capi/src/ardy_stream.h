/* One window behind frames that are there: which frames it sees, and what it makes of them. */
#ifndef MRT_ARDY_STREAM_H
#define MRT_ARDY_STREAM_H

#include "ardy_network.h"

typedef struct stream_settings {
  guidance guidance;
  int32_t num_steps;
  int32_t replan_frames;  /* behind the playhead that stay when the rest is planned anew */
  int32_t history_frames; /* that a window looks back at most */
  int32_t future_frames;  /* beyond what it generates in which it looks for goals */
  bool postprocess;       /* meet the constraints of new frames exactly */
  double root_margin;
} stream_settings;

/* Frames that are still needed: normalised features in the world. */
typedef struct stream_buffer {
  float *frames; /* (count, D) */
  int32_t first, count; /* number of the first */
} stream_buffer;

/* Which frames a window sees; all absolute. */
typedef struct stream_span {
  int32_t start;     /* the first of history */
  int32_t last_kept; /* the last that stays, -1 if none does */
  int32_t history, num_frames; /* num_frames from start on, goals included */
} stream_span;

stream_span stream_plan(const ardy *m, const stream_buffer *buffer, int32_t playhead,
                        constraints all, const stream_settings *how);

typedef struct stream_window {
  stream_span span;
  const float *history; /* (span.history, D) */
  constraints inside;   /* counted from the first new frame */
  const float *text;    /* (K, 2 H) */
  const bool *text_mask;
  const float *noise; /* (horizon / size, W) */
  float place[2], heading; /* where a first frame starts */
  const stream_settings *how;
  int32_t index, of; /* of windows, for progress */
  float *observed, *mask; /* set: (num_frames, D) that was known, or NULL */
} stream_window;

/* Make a window: new normalised features (horizon, D). */
float *stream_make(const ardy_run *u, stream_window *w);

/* Clean up normalised features (T, D) in place, by constraints that count from the first of them. */
void ardy_correct(const ardy_run *u, float *features, int32_t num_frames, constraints held,
                  double root_margin);
/* The normalised features (T, D) of a motion that is gone on from, at the model's frame rate; the
 * motion at that rate is `fitted`. MRT_BAD_INPUT if it does not fit. */
float *ardy_previous(const ardy_run *u, const mrt_motion *motion, const mrt_motion **fitted);
/* Fill a new motion of features (T, D), behind the frames of another if that is given. With
 * constraints, which there may be none of, it is cleaned up. */
void ardy_show(const ardy_run *u, mrt_motion *made, const float *features, int32_t num_frames,
               const mrt_motion *before, const constraints *held, double root_margin);

#endif
