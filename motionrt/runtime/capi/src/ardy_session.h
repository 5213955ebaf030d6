/* A stream's state: frames that are made, what was asked for from which frame on. */
#ifndef MRT_ARDY_SESSION_H
#define MRT_ARDY_SESSION_H

#include "ardy_stream.h"

#define MOST_STREAMED (1 << 30) /* frames of a stream: 621 days at 20 a second */
#define MOST_REACTION_FRAMES 10000

/* What is asked of the frames from one on. */
typedef struct controls {
  arena keep; /* holds all of it */
  int32_t frame;
  uint64_t serial; /* tells controls apart that were asked for one after another */
  const char *prompt;
  tokens given; /* of the prompt, if the caller gave its embedding; count is 0 if not */
  float *text;  /* (K, 2 H) */
  bool *text_mask;
  constraints held; /* of absolute frames; goals are among them */
  bool has_velocity;
  double velocity[2];
} controls;

/* What holds when, and where is planned anew; frames rise. */
typedef struct timeline {
  controls **entries;
  int32_t *cuts;
  int32_t num_entries, room_entries, num_cuts, room_cuts;
} timeline;

typedef struct stream_state {
  stream_settings how;
  uint32_t seed;
  double start[2], heading_rad, rest; /* rest: share of a frame that was asked for and is not due */
  stream_buffer buffer;
  int32_t room; /* of the buffer */
  int32_t position;
  bool is_begun;
  timeline line;
} stream_state;

struct mrt_stream {
  mrt_pipeline *pipeline;
  ardy *model;
  request wishes; /* whose progress callback is told */
  lock guard;     /* of what follows */
  stream_state state;
  int32_t claimed; /* frames from position on that are being fetched: they are settled */
  uint32_t epoch;
  uint64_t serials;
  lock making; /* one thread makes frames at a time */
  flag taking;
};

ardy_run stream_run(call *c, mrt_stream *s);
/* Refuse settings that a model cannot follow. */
void stream_check(call *c, const ardy *m, const stream_settings *how);
/* Set the prompt of controls that are none's yet: a text, or the tokens that a caller gives for it. */
void controls_word(const ardy_run *u, controls *asked, const char *prompt, const tokens *given);
/* A copy that is freed with the call unless it becomes part of a timeline. */
controls *controls_new(call *c, const ardy *m, const controls *like);
/* Let controls hold from a frame on, or from that of the last change if that is later: which it is. */
int32_t timeline_change(call *c, timeline *line, controls *made, int32_t frame);
void timeline_cut(call *c, timeline *line, int32_t frame);
/* Fetch frames for one thread at a time, until the call ends; MRT_BUSY if another does. */
void stream_begin_taking(call *c, mrt_stream *s);
/* The next frames, with their features; freed with the call unless they are kept. */
mrt_motion *stream_fetch(call *c, mrt_stream *s, int32_t num_frames);
/* Frames that fall due in a time, and what is left of one. */
double frames_due(call *c, double rest, double seconds, double fps, double *left);
/* Free what a state holds; it may be used again. */
void state_end(stream_state *state);
/* Put frames behind those of a buffer, which has room for them. */
void state_reserve(call *c, stream_state *state, int32_t more, int32_t width);

/* A state as the bytes of a file, and back. */
void snapshot_write(call *c, const mrt_stream *s, buffer *out);
void snapshot_read(call *c, mrt_stream *s, const void *bytes, size_t num_bytes,
                   stream_state *state);

#endif
