/* A stream's frames at another program's higher rate, resampled smoothly while they are made; the
 * Python package's runtime/ardy/control_rate.py has the same. */
#include <stdlib.h>
#include <string.h>

#include "ardy_session.h"
#include "resample.h"

#define DELAY_FRAMES 4
#define LEAST_DELAY_FRAMES 2
#define MOST_DELAY_FRAMES 1000

struct mrt_control_rate {
  mrt_stream *stream;
  double fps, rest; /* rest: share of a frame that was asked for and is not due */
  int32_t delay;    /* frames of the stream that are known behind a moment */
  int64_t fetched, given; /* frames since it began: the stream's, its own */
  mrt_motion *held;       /* the last frames that were fetched, with what curves look back at */
};

typedef struct rate_arguments {
  mrt_stream *stream;
  double fps, seconds;
  int32_t count; /* of frames, or of those of delay */
  mrt_control_rate **out;
  mrt_control_rate *rate;
  mrt_motion **motion;
} rate_arguments;

static void open_rate(call *c, void *arguments) {
  rate_arguments *a = arguments;
  mrt_control_rate *made;
  double least;
  if (!a->stream || !a->out) fail(c, MRT_BAD_ARGUMENT, "stream or out is NULL");
  least = a->stream->model->features.fps;
  if (!(a->fps >= least && a->fps <= MOST_FPS))
    fail(c, MRT_BAD_INPUT, "%g fps of a stream of %g: it must be that or more, and at most %.0f",
         a->fps, least, MOST_FPS);
  if (!a->count) a->count = DELAY_FRAMES;
  if (a->count < LEAST_DELAY_FRAMES || a->count > MOST_DELAY_FRAMES)
    fail(c, MRT_BAD_INPUT, "a delay of %d frames: must be from %d to %d", a->count,
         LEAST_DELAY_FRAMES, MOST_DELAY_FRAMES);
  made = calloc(1, sizeof *made);
  if (!made) fail(c, MRT_NO_MEMORY, "out of memory");
  made->stream = a->stream;
  made->fps = a->fps;
  made->delay = a->count;
  *a->out = made;
}

mrt_status mrt_control_rate_open(mrt_stream *stream, double fps, int32_t delay_frames,
                                 mrt_control_rate **out) {
  rate_arguments a = {.stream = stream, .fps = fps, .count = delay_frames, .out = out};
  if (out) *out = NULL;
  return call_run(open_rate, &a);
}

void mrt_control_rate_free(mrt_control_rate *rate) {
  if (!rate) return;
  mrt_motion_free(rate->held);
  free(rate);
}

/* Fetch frames of the stream, and let go of those that no curve looks back at any more. */
static void fetch(call *c, mrt_control_rate *r, int32_t count) {
  const motion_features *f = &r->stream->model->features;
  size_t width = (size_t)f->width;
  ardy_run u = stream_run(c, r->stream);
  mrt_motion *fresh = stream_fetch(c, r->stream, count), *made;
  int64_t next = (int64_t)floor((double)r->given * f->fps / r->fps) - r->delay - 1;
  int32_t kept = r->fetched - next > 0 ? (int32_t)(r->fetched - next) : 0;
  int32_t before = r->held ? r->held->num_frames : 0;
  float *features;
  if (kept > before) kept = before;
  features = TEMP(c, float, ((size_t)kept + count) * width);
  if (kept)
    memcpy(features, r->held->features + (size_t)(before - kept) * width,
           (size_t)kept * width * sizeof(float));
  memcpy(features + (size_t)kept * width, fresh->features, (size_t)count * width * sizeof(float));
  made = motion_new(c, f->skeleton, kept + count, f->fps);
  ardy_show(&u, made, features, kept + count, NULL, NULL, 0);
  motion_inherit(c, made, fresh);
  mrt_motion_free(r->held);
  r->held = motion_keep(made);
  r->fetched += count;
}

static mrt_motion *give(call *c, mrt_control_rate *r, int32_t count) {
  double share = r->stream->model->features.fps / r->fps, *moments, needed;
  int64_t first;
  mrt_motion *made;
  int32_t i;
  if (count < 1 || count > MOST_FRAMES)
    fail(c, MRT_BAD_INPUT, "%d frames: from 1 to %d can be fetched", count, MOST_FRAMES);
  stream_begin_taking(c, r->stream);
  needed = ceil((double)(r->given + count - 1) * share - 1e-6) + r->delay + 1 - (double)r->fetched;
  if (needed > 0) fetch(c, r, (int32_t)needed);
  first = r->fetched - r->held->num_frames;
  moments = TEMP(c, double, count);
  for (i = 0; i < count; i++) moments[i] = (double)(r->given + i) * share - (double)first;
  made = resampled_near(c, r->held, moments, count, r->delay - 1, r->fps);
  r->given += count;
  return motion_keep(made);
}

static mrt_control_rate *need_rate(call *c, const rate_arguments *a) {
  if (!a->rate || !a->motion) fail(c, MRT_BAD_ARGUMENT, "control rate or out is NULL");
  return a->rate;
}

static void take(call *c, void *arguments) {
  rate_arguments *a = arguments;
  *a->motion = give(c, need_rate(c, a), a->count);
}

mrt_status mrt_control_rate_take(mrt_control_rate *rate, int32_t num_frames, mrt_motion **out) {
  rate_arguments a = {.rate = rate, .count = num_frames, .motion = out};
  if (out) *out = NULL;
  return call_run(take, &a);
}

static void advance(call *c, void *arguments) {
  rate_arguments *a = arguments;
  mrt_control_rate *r = need_rate(c, a);
  double rest, due = frames_due(c, r->rest, a->seconds, r->fps, &rest);
  if (due >= 1) *a->motion = give(c, r, due > MOST_FRAMES ? MOST_FRAMES + 1 : (int32_t)due);
  r->rest = rest;
}

mrt_status mrt_control_rate_advance(mrt_control_rate *rate, double seconds, mrt_motion **out) {
  rate_arguments a = {.rate = rate, .seconds = seconds, .motion = out};
  if (out) *out = NULL;
  return call_run(advance, &a);
}
