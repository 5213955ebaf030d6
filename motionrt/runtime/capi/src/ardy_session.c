#include "ardy_session.h"

#include <stdlib.h>
#include <string.h>

#include "correction.h"
#include "sha256.h"

#define EARLY 1e-6 /* share of a frame that a sum of times may fall short by rounding */
#define MOST_SECONDS 1e6
#define VELOCITY_SECONDS 2.0 /* so long the root takes to reach a velocity that is asked for */
#define WAYPOINT_SECONDS 0.5 /* between the places that lead it there */

ardy_run stream_run(call *c, mrt_stream *s) {
  ardy_run u = {c, TEMP(c, arena, 1), &s->pipeline->bundle, s->model, &s->wishes};
  arena_defer(c, &c->memory, arena_release, u.work);
  return u;
}

void stream_check(call *c, const ardy *m, const stream_settings *how) {
  if (how->num_steps < 1 || how->num_steps > m->num_base_steps)
    fail(c, MRT_BAD_INPUT, "%d diffusion steps: must be from 1 to %d", how->num_steps,
         m->num_base_steps);
  if (how->history_frames < m->size || how->history_frames > m->longest_history ||
      how->history_frames % m->size)
    fail(c, MRT_BAD_INPUT, "%d frames of history: must be a multiple of %d from %d to %d",
         how->history_frames, m->size, m->size, m->longest_history);
  if (how->replan_frames < 1 || how->replan_frames > MOST_REACTION_FRAMES)
    fail(c, MRT_BAD_INPUT, "%d reaction frames: must be from 1 to %d", how->replan_frames,
         MOST_REACTION_FRAMES);
  if (!isfinite(how->root_margin) || how->root_margin < 0)
    fail(c, MRT_BAD_INPUT, "root margin: must be 0 or more metres");
}

/* ---- What is asked for ---- */

static void free_controls(controls *made) {
  arena_free(&made->keep);
  free(made);
}

static void free_held(void *what) {
  controls **held = what;
  if (*held) free_controls(*held);
}

/* Copy frames of controls' constraints into their own memory; local rotations in single precision, as
 * a snapshot keeps them. */
static void *copied(call *c, arena *to, const void *from, size_t bytes) {
  void *copy = arena_take(c, to, bytes, 1);
  memcpy(copy, from, bytes);
  return copy;
}

static void copy_constraint(call *c, arena *to, constraint *item) {
  size_t frames = (size_t)item->num_frames, i;
  item->frames = copied(c, to, item->frames, frames * sizeof *item->frames);
  if (item->smooth_root)
    item->smooth_root =
        copied(c, to, item->smooth_root, frames * (size_t)item->columns * sizeof(float));
  if (item->heading) item->heading = copied(c, to, item->heading, frames * 2 * sizeof(float));
  if (item->root) item->root = copied(c, to, item->root, frames * sizeof *item->root);
  if (!item->local) return;
  item->local = copied(c, to, item->local, frames * (size_t)item->num_joints * sizeof *item->local);
  for (i = 0; i < frames * (size_t)item->num_joints; i++) {
    float rounded[9];
    mat_store(rounded, item->local[i]);
    item->local[i] = mat_load(rounded);
  }
}

void controls_word(const ardy_run *u, controls *asked, const char *prompt, const tokens *given) {
  const ardy *m = u->model;
  tokens found = given ? *given : ardy_tokens(u, prompt);
  asked->prompt = prompt;
  asked->given = given ? *given : (tokens){0};
  asked->text = TEMP(u->c, float, (size_t)m->num_text_tokens * 2 * (size_t)m->hidden_width);
  asked->text_mask = TEMP(u->c, bool, m->num_text_tokens);
  ardy_embed(u, &found, 0, asked->text, asked->text_mask);
}

controls *controls_new(call *c, const ardy *m, const controls *like) {
  controls **guarded = TEMP(c, controls *, 1), *made;
  size_t text = (size_t)m->num_text_tokens * 2 * (size_t)m->hidden_width * sizeof(float), i;
  size_t count = (size_t)like->given.count;
  arena_defer(c, &c->memory, free_held, guarded);
  made = *guarded = calloc(1, sizeof *made);
  if (!made) fail(c, MRT_NO_MEMORY, "out of memory");
  made->prompt = arena_copy(c, &made->keep, like->prompt, strlen(like->prompt));
  made->text = copied(c, &made->keep, like->text, text);
  made->text_mask = copied(c, &made->keep, like->text_mask, (size_t)m->num_text_tokens);
  if (count) {
    size_t bytes = count * (size_t)m->text_width * sizeof(float);
    made->given.count = like->given.count;
    made->given.values = copied(c, &made->keep, like->given.values, bytes);
    made->given.mask = copied(c, &made->keep, like->given.mask, count);
  }
  made->held.items = TAKE(c, &made->keep, constraint, like->held.count);
  made->held.count = like->held.count;
  for (i = 0; i < like->held.count; i++) {
    made->held.items[i] = like->held.items[i];
    copy_constraint(c, &made->keep, &made->held.items[i]);
  }
  made->has_velocity = like->has_velocity;
  memcpy(made->velocity, like->velocity, sizeof made->velocity);
  /* The guard lets go of them when they are part of a timeline: see timeline_change. */
  made->serial = (uint64_t)(uintptr_t)guarded;
  return made;
}

static bool is_past(const constraint *item, int32_t frame) {
  int32_t k;
  for (k = 0; k < item->num_frames; k++)
    if (item->frames[k] >= frame) return false;
  return true;
}

/* The constraints that have frames from one on, in place. */
static void drop_past(constraints *held, int32_t frame) {
  size_t i, kept = 0;
  for (i = 0; i < held->count; i++)
    if (!is_past(&held->items[i], frame)) held->items[kept++] = held->items[i];
  held->count = kept;
}

static void *grown(call *c, void *old, int32_t count, int32_t *room, size_t size) {
  int32_t wanted = count < 8 ? 8 : 2 * count;
  void *larger;
  if (count < *room) return old;
  larger = realloc(old, (size_t)wanted * size);
  if (!larger) fail(c, MRT_NO_MEMORY, "out of memory");
  *room = wanted;
  return larger;
}

int32_t timeline_change(call *c, timeline *line, controls *made, int32_t frame) {
  controls **guarded = (controls **)(uintptr_t)made->serial, *last;
  line->entries =
      grown(c, line->entries, line->num_entries, &line->room_entries, sizeof *line->entries);
  *guarded = NULL;
  last = line->num_entries ? line->entries[line->num_entries - 1] : NULL;
  if (last && frame <= last->frame) {
    frame = last->frame;
    free_controls(last);
    line->num_entries--;
  }
  made->frame = frame;
  line->entries[line->num_entries++] = made;
  return frame;
}

void timeline_cut(call *c, timeline *line, int32_t frame) {
  int32_t at = line->num_cuts;
  line->cuts = grown(c, line->cuts, line->num_cuts, &line->room_cuts, sizeof *line->cuts);
  while (at && line->cuts[at - 1] >= frame) at--;
  if (at < line->num_cuts && line->cuts[at] == frame) return;
  memmove(line->cuts + at + 1, line->cuts + at,
          (size_t)(line->num_cuts - at) * sizeof *line->cuts);
  line->cuts[at] = frame;
  line->num_cuts++;
}

/* What holds at a frame, by its place among the entries. */
static int32_t entry_at(const timeline *line, int32_t frame) {
  int32_t i = line->num_entries - 1;
  while (i > 0 && line->entries[i]->frame > frame) i--;
  return i;
}

/* The first frame behind one that is not to be planned with it. */
static int32_t planned_until(const timeline *line, int32_t frame) {
  int32_t found = INT32_MAX, i;
  for (i = 0; i < line->num_entries; i++)
    if (line->entries[i]->frame > frame && line->entries[i]->frame < found)
      found = line->entries[i]->frame;
  for (i = 0; i < line->num_cuts; i++)
    if (line->cuts[i] > frame && line->cuts[i] < found) found = line->cuts[i];
  return found;
}

static void drop_front(void *items, int32_t *count, int32_t gone, size_t size) {
  memmove(items, (char *)items + (size_t)gone * size, (size_t)(*count - gone) * size);
  *count -= gone;
}

static void timeline_forget(timeline *line, int32_t before) {
  int32_t gone = entry_at(line, before), i, cuts = 0;
  for (i = 0; i < gone; i++) free_controls(line->entries[i]);
  if (gone) drop_front(line->entries, &line->num_entries, gone, sizeof *line->entries);
  while (cuts < line->num_cuts && line->cuts[cuts] < before) cuts++;
  if (cuts) drop_front(line->cuts, &line->num_cuts, cuts, sizeof *line->cuts);
  drop_past(&line->entries[0]->held, before);
}

void state_end(stream_state *state) {
  int32_t i;
  for (i = 0; i < state->line.num_entries; i++) free_controls(state->line.entries[i]);
  free(state->line.entries);
  free(state->line.cuts);
  free(state->buffer.frames);
  memset(state, 0, sizeof *state);
}

void state_reserve(call *c, stream_state *state, int32_t more, int32_t width) {
  int32_t wanted = state->buffer.count + more;
  float *larger;
  if (wanted <= state->room) return;
  larger = realloc(state->buffer.frames, (size_t)wanted * (size_t)width * sizeof *larger);
  if (!larger) fail(c, MRT_NO_MEMORY, "out of memory");
  state->buffer.frames = larger;
  state->room = wanted;
}

/* Let go of what no window can look back at any more. */
static void forget(mrt_stream *s) {
  stream_state *state = &s->state;
  int32_t width = s->model->features.width, gone;
  /* Two frames besides give the velocity at the first that can still change. */
  int32_t kept = state->how.history_frames > 2 ? state->how.history_frames : 2;
  gone = state->position - kept - state->buffer.first;
  if (gone > state->buffer.count) gone = state->buffer.count;
  if (gone > 0) {
    drop_front(state->buffer.frames, &state->buffer.count, gone,
               (size_t)width * sizeof *state->buffer.frames);
    state->buffer.first += gone;
  }
  timeline_forget(&state->line, state->position);
}

static int32_t buffer_end(const mrt_stream *s) {
  return s->state.buffer.first + s->state.buffer.count;
}

/* The frame that is fetched next, by those that are being fetched now. */
static int32_t playhead(const mrt_stream *s) { return s->state.position + s->claimed; }

static int32_t next_change(const mrt_stream *s) {
  int32_t soon = playhead(s) + s->state.how.replan_frames;
  if (!s->state.is_begun) return 0;
  return soon > s->model->size ? soon : s->model->size;
}

static controls *last_asked(const mrt_stream *s) {
  return s->state.line.entries[s->state.line.num_entries - 1];
}

/* Throw away what was made from a frame on. */
static void cut_buffer(mrt_stream *s, int32_t frame) {
  if (buffer_end(s) > frame) {
    int32_t kept = frame - s->state.buffer.first;
    s->state.buffer.count = kept > 0 ? kept : 0;
  }
}

/* Let other controls hold from a frame on, or as soon as can be if that is negative. */
static void change(call *c, mrt_stream *s, controls *made, int32_t frame) {
  if (frame < 0) frame = next_change(s);
  frame = timeline_change(c, &s->state.line, made, frame);
  made->serial = ++s->serials;
  cut_buffer(s, frame);
}

/* A copy of what was asked for last, with other constraints. */
static controls *changed(call *c, const mrt_stream *s, constraints held) {
  controls like = *last_asked(s);
  like.held = held;
  return controls_new(c, s->model, &like);
}

static void needs_constraints(call *c, const mrt_stream *s) {
  if (!s->model->takes_constraints)
    fail(c, MRT_BAD_INPUT, "%s takes no constraints", s->pipeline->bundle.name);
}

/* Add constraints whose frames count from the next one that is fetched. */
static void add(call *c, mrt_stream *s, constraints given) {
  int32_t now = playhead(s), k;
  constraints held = last_asked(s)->held;
  size_t i;
  needs_constraints(c, s);
  for (i = 0; i < given.count; i++)
    for (k = 0; k < given.items[i].num_frames; k++)
      if (given.items[i].frames[k] > MOST_STREAMED / 2)
        fail(c, MRT_BAD_INPUT, "frame %d of a constraint is too far ahead",
             given.items[i].frames[k]);
  constraints_shift(given, now);
  held = constraints_join(c, held, (constraints){NULL, 0}); /* a list of its own */
  drop_past(&held, now);
  change(c, s, changed(c, s, constraints_join(c, held, given)), -1);
}

/* ---- Frames ---- */

/* The seed of the window that begins at a frame; the first has the stream's own. */
static uint32_t window_seed(call *c, uint32_t seed, int32_t frame) {
  sha256 hash;
  char text[65], *told;
  unsigned long value;
  if (!frame) return seed;
  told = arena_print(c, &c->memory, "%lu/%d", (unsigned long)seed, frame);
  sha256_begin(&hash);
  sha256_add(&hash, told, strlen(told));
  sha256_end(&hash, text);
  text[8] = 0;
  value = strtoul(text, NULL, 16);
  return (uint32_t)((value >> 24 & 0xff) | (value >> 8 & 0xff00) | (value << 8 & 0xff0000) |
                    (value << 24 & 0xff000000u));
}

/* Where a velocity that is asked for leads from the last frame. */
static constraints waypoints(call *c, const mrt_stream *s, const controls *asked) {
  const ardy *m = s->model;
  const stream_buffer *b = &s->state.buffer;
  constraints made = {NULL, 0};
  constraint *item;
  float now[2] = {(float)s->state.start[0], (float)s->state.start[1]}, before[2];
  float fps = (float)m->features.fps, place[2];
  int32_t last = buffer_end(s) - 1, i, k;
  int32_t count = (int32_t)(VELOCITY_SECONDS * m->features.fps);
  int32_t interval = (int32_t)nearbyint(WAYPOINT_SECONDS * m->features.fps);
  if (!asked->has_velocity) return made;
  if (interval < 1) interval = 1;
  if (count < interval) return made;
  if (b->count) ardy_place(m, b->frames + (size_t)(b->count - 1) * m->features.width, now);
  memcpy(before, now, sizeof before);
  if (b->count > 1) ardy_place(m, b->frames + (size_t)(b->count - 2) * m->features.width, before);
  made.count = 1;
  made.items = item = TEMP(c, constraint, 1);
  item->kind = MRT_ROOT_PATH;
  item->columns = 2;
  item->frames = TEMP(c, int32_t, count / interval);
  item->smooth_root = TEMP(c, float, 2 * (count / interval));
  memcpy(place, now, sizeof place);
  for (i = 1; i <= count; i++) {
    float share = (float)((double)i / count);
    for (k = 0; k < 2; k++)
      place[k] += ((1 - share) * ((now[k] - before[k]) * fps) + share * (float)asked->velocity[k]) /
                  fps;
    if (i % interval) continue;
    item->frames[item->num_frames] = last + i;
    memcpy(item->smooth_root + 2 * item->num_frames++, place, sizeof place);
  }
  return made;
}

/* Make the window behind the last frame; nothing is locked while it is computed. */
static void make_window(call *c, mrt_stream *s) {
  ardy_run u = stream_run(c, s);
  ardy *m = s->model;
  size_t width = (size_t)m->features.width, tokens = (size_t)m->horizon / m->size * m->width;
  lock **held = lock_hold(c, &s->guard);
  stream_state *state = &s->state;
  int32_t first = buffer_end(s), kept = m->horizon, until;
  const controls *asked = state->line.entries[entry_at(&state->line, first)];
  constraints all = constraints_join(c, asked->held, waypoints(c, s, asked));
  uint64_t serial = asked->serial;
  uint32_t epoch = s->epoch;
  stream_settings how = state->how;
  stream_window w = {0};
  float *noise_values = TAKE(c, u.work, float, tokens), *made;
  noise *stream = TAKE(c, u.work, noise, 1);
  if (first > MOST_STREAMED)
    fail(c, MRT_BAD_INPUT, "a stream ends after %d frames; open another that goes on from it",
         MOST_STREAMED);
  w.span = stream_plan(m, &state->buffer, first - 1, all, &how);
  w.inside = constraints_crop(c, all, first, w.span.start + w.span.num_frames);
  w.history = copied(c, u.work, state->buffer.frames
                                    ? (const void *)(state->buffer.frames +
                                                     (size_t)(w.span.start - state->buffer.first) *
                                                         width)
                                    : (const void *)"",
                     (size_t)w.span.history * width * sizeof(float));
  w.text = copied(c, u.work, asked->text,
                  (size_t)m->num_text_tokens * 2 * (size_t)m->hidden_width * sizeof(float));
  w.text_mask = copied(c, u.work, asked->text_mask, (size_t)m->num_text_tokens);
  w.place[0] = (float)state->start[0], w.place[1] = (float)state->start[1];
  w.heading = (float)state->heading_rad;
  w.how = &how;
  w.noise = noise_values;
  w.of = 1;
  noise_seed(stream, window_seed(c, state->seed, first));
  lock_release(held);
  noise_normal(stream, noise_values, tokens);
  made = stream_make(&u, &w);
  held = lock_hold(c, &s->guard);
  if (epoch == s->epoch && buffer_end(s) == first &&
      state->line.entries[entry_at(&state->line, first)]->serial == serial) {
    until = planned_until(&state->line, first);
    if (until - first < kept) kept = until - first;
    state_reserve(c, state, m->horizon, (int32_t)width);
    memcpy(state->buffer.frames + (size_t)state->buffer.count * width, made,
           (size_t)kept * width * sizeof(float));
    state->buffer.count += kept;
  } /* else what was asked for has changed meanwhile */
  lock_release(held);
  arena_free(u.work);
}

/* Make one window if fewer than so many frames are ready behind the playhead; whether they are. */
static bool make_towards(call *c, mrt_stream *s, int32_t wanted) {
  lock **making = lock_hold(c, &s->making), **held = lock_hold(c, &s->guard);
  bool there = buffer_end(s) - playhead(s) >= wanted;
  lock_release(held);
  if (!there) make_window(c, s);
  lock_release(making);
  return there;
}

/* Ends a fetch however the call does. */
static void end_taking(void *what) {
  mrt_stream *s = what;
  lock_take(&s->guard);
  s->claimed = 0;
  lock_give(&s->guard);
  flag_give(&s->taking);
}

void stream_begin_taking(call *c, mrt_stream *s) {
  if (!flag_take(&s->taking))
    fail(c, MRT_BUSY, "another thread is fetching frames of this stream");
  arena_defer(c, &c->memory, end_taking, s); /* what may fail is below; see arena_defer */
}

/* The next frame is settled, whatever is asked for meanwhile, so that those who ask all the time hold
 * nobody up. */
mrt_motion *stream_fetch(call *c, mrt_stream *s, int32_t num_frames) {
  ardy_run u = stream_run(c, s);
  mrt_motion *made;
  lock **held = lock_hold(c, &s->guard);
  uint32_t epoch = s->epoch;
  const stream_state *state = &s->state;
  const char *prompt;
  if (num_frames < 1 || num_frames > MOST_FRAMES)
    fail(c, MRT_BAD_INPUT, "%d frames: from 1 to %d can be fetched", num_frames, MOST_FRAMES);
  for (;;) {
    int32_t ready;
    s->state.is_begun = true;
    if (epoch != s->epoch) epoch = s->epoch, s->claimed = 0; /* somebody went back to another state */
    ready = buffer_end(s) - state->position;
    if (ready >= num_frames) break;
    s->claimed = ready > 0 ? ready : 0;
    lock_release(held);
    make_towards(c, s, 1);
    held = lock_hold(c, &s->guard);
  }
  made = motion_new(c, s->model->features.skeleton, num_frames, s->model->features.fps);
  ardy_show(&u, made,
            state->buffer.frames +
                (size_t)(state->position - state->buffer.first) * s->model->features.width,
            num_frames, NULL, NULL, 0);
  prompt = state->line.entries[entry_at(&state->line, state->position + num_frames - 1)]->prompt;
  made->prompt = arena_copy(c, &made->keep, prompt, strlen(prompt));
  made->seed = state->seed;
  s->state.position += num_frames;
  s->claimed = 0;
  forget(s);
  lock_release(held);
  return made;
}

/* ---- Public ---- */

typedef struct stream_arguments {
  mrt_stream *stream;
  mrt_pipeline *pipeline;
  const mrt_stream_options *options;
  mrt_stream **out;
  const char *text;
  float x, z;
  double seconds;
  const float *floats;
  int32_t num_tokens;
  const uint8_t *mask;
  int64_t frame;
  int32_t num_frames;
  mrt_motion **motion;
  mrt_stream_info *info;
  mrt_write_fn write;
  void *user;
  const void *bytes;
  size_t num_bytes;
} stream_arguments;

/* Run a body on a stream that is there. */
static mrt_status on_stream(mrt_stream *stream, void (*body)(call *, void *),
                            stream_arguments *arguments) {
  arguments->stream = stream;
  if (arguments->motion) *arguments->motion = NULL;
  return call_run(body, arguments);
}

static mrt_stream *need_stream(call *c, const stream_arguments *a) {
  if (!a->stream) fail(c, MRT_BAD_ARGUMENT, "stream is NULL");
  return a->stream;
}

/* An embedding of one prompt that the caller gives. */
static tokens embedding(call *c, const ardy *m, const float *values, int32_t count,
                        const uint8_t *mask) {
  if (count < 1) fail(c, MRT_BAD_INPUT, "an embedding has one token or more, not %d", count);
  return tokens_given(c, values, mask, 1, count, m->text_width, m->num_text_tokens);
}

static void free_stream(void *what) { mrt_stream_free(what); }

static void open_stream(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream_options o;
  struct arena_cleanup *guard;
  stream_state *state;
  mrt_pipeline *p = a->pipeline;
  mrt_stream *s;
  ardy *m;
  ardy_run u;
  controls first = {0}, *made;
  tokens given;
  if (!p || !a->out) fail(c, MRT_BAD_ARGUMENT, "pipeline or out is NULL");
  if (p->family != &ardy_family)
    fail(c, MRT_BAD_INPUT, "%s makes no streams", p->family->name);
  mrt_stream_options_init(&o);
  if (a->options) {
    size_t size = a->options->struct_size;
    if (size < sizeof size || size > 4096)
      fail(c, MRT_BAD_ARGUMENT, "options: call mrt_stream_options_init first");
    memcpy(&o, a->options, size < sizeof o ? size : sizeof o);
  }
  if (o.seed > (int64_t)UINT32_MAX)
    fail(c, MRT_BAD_INPUT, "seed %lld: must be from 0 to 4294967295", (long long)o.seed);
  if (!isfinite(o.start_x) || !isfinite(o.start_z) || !isfinite(o.first_heading_rad))
    fail(c, MRT_BAD_INPUT, "a start's place and heading must be finite");
  pipeline_hold(c, p);
  m = p->model;
  s = calloc(1, sizeof *s);
  if (!s) fail(c, MRT_NO_MEMORY, "out of memory");
  lock_make(&s->guard);
  lock_make(&s->making);
  lock_make(&s->taking.guard);
  guard = arena_defer(c, &c->memory, free_stream, s);
  state = &s->state;
  s->pipeline = p;
  s->model = m;
  {
    mrt_generate_options shared; /* what both have is read by the same rules */
    mrt_generate_options_init(&shared);
    shared.num_steps = o.num_steps;
    shared.guidance_weights = o.guidance_weights;
    shared.num_guidance_weights = o.num_guidance_weights;
    shared.no_guidance = o.no_guidance;
    shared.embedding = o.embedding;
    shared.num_embedding_tokens = o.num_embedding_tokens;
    shared.embedding_mask = o.embedding_mask;
    shared.progress = o.progress;
    shared.progress_user = o.progress_user;
    s->wishes = request_make(c, &shared);
  }
  state->how.guidance = guidance_settle(&s->wishes, m->guidance);
  state->how.num_steps = o.num_steps ? o.num_steps : m->num_steps;
  state->how.replan_frames = o.reaction_frames;
  state->how.history_frames = o.history_frames ? o.history_frames : m->size;
  state->how.future_frames = m->window_frames;
  state->how.postprocess = o.postprocess;
  state->how.root_margin = o.root_margin < 0 ? DEFAULT_ROOT_MARGIN_M : o.root_margin;
  stream_check(c, m, &state->how);
  state->seed = o.seed < 0 ? draw_seed() : (uint32_t)o.seed;
  state->start[0] = o.start_x;
  state->start[1] = o.start_z;
  state->heading_rad = o.first_heading_rad;
  ardy_load_graphs(c, p, m);
  u = stream_run(c, s);
  if (o.embedding) given = embedding(c, m, o.embedding, s->wishes.num_tokens, o.embedding_mask);
  controls_word(&u, &first, o.prompt ? o.prompt : "", o.embedding ? &given : NULL);
  made = controls_new(c, m, &first);
  timeline_change(c, &state->line, made, 0);
  made->serial = 0;
  if (o.start) {
    const mrt_motion *clip;
    float *earlier = ardy_previous(&u, o.start, &clip);
    state_reserve(c, state, clip->num_frames, m->features.width);
    memcpy(state->buffer.frames, earlier,
           (size_t)clip->num_frames * m->features.width * sizeof(float));
    state->buffer.count = state->position = clip->num_frames;
    state->is_begun = true;
    forget(s);
  }
  cleanup_disarm(guard);
  *a->out = s;
}

mrt_status mrt_stream_open(mrt_pipeline *pipeline, const mrt_stream_options *options,
                           mrt_stream **out) {
  stream_arguments a = {.pipeline = pipeline, .options = options, .out = out};
  if (out) *out = NULL;
  return call_run(open_stream, &a);
}

void mrt_stream_free(mrt_stream *s) {
  if (!s) return;
  state_end(&s->state);
  lock_end(&s->guard);
  lock_end(&s->making);
  lock_end(&s->taking.guard);
  free(s);
}

static bool same_tokens(const ardy *m, const tokens *a, const tokens *b) {
  size_t count = (size_t)a->count;
  return a->count == b->count &&
         (!count || (!memcmp(a->mask, b->mask, count) &&
                     !memcmp(a->values, b->values, count * (size_t)m->text_width * sizeof(float))));
}

/* Follow another prompt: a text, or tokens that stand for it. */
static void follow(call *c, mrt_stream *s, const char *text, const tokens *given) {
  ardy_run u = stream_run(c, s);
  controls like, word = {0};
  const controls *last;
  controls_word(&u, &word, text, given); /* here, so that nobody waits for it */
  lock_hold(c, &s->guard);
  last = last_asked(s);
  if (!strcmp(last->prompt, text) && same_tokens(s->model, &last->given, &word.given)) return;
  like = *last;
  like.prompt = word.prompt;
  like.given = word.given;
  like.text = word.text;
  like.text_mask = word.text_mask;
  change(c, s, controls_new(c, s->model, &like), -1);
}

static void prompt(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream *s = need_stream(c, a);
  if (!a->text) fail(c, MRT_BAD_ARGUMENT, "prompt is NULL");
  pipeline_hold(c, s->pipeline);
  follow(c, s, a->text, NULL);
}

mrt_status mrt_stream_prompt(mrt_stream *stream, const char *text) {
  stream_arguments a = {.text = text};
  return on_stream(stream, prompt, &a);
}

static void prompt_embedding(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream *s = need_stream(c, a);
  tokens given;
  if (!a->floats) fail(c, MRT_BAD_ARGUMENT, "embedding is NULL");
  given = embedding(c, s->model, a->floats, a->num_tokens, a->mask);
  follow(c, s, a->text ? a->text : "", &given);
}

mrt_status mrt_stream_prompt_embedding(mrt_stream *stream, const char *text, const float *values,
                                       int32_t num_tokens, const uint8_t *mask) {
  stream_arguments a = {.text = text, .floats = values, .num_tokens = num_tokens, .mask = mask};
  return on_stream(stream, prompt_embedding, &a);
}

static void check_seconds(call *c, double seconds) {
  if (!(seconds >= 0 && seconds <= MOST_SECONDS))
    fail(c, MRT_BAD_INPUT, "%g s: must be from 0 to %g", seconds, MOST_SECONDS);
}

double frames_due(call *c, double rest, double seconds, double fps, double *left) {
  double due;
  check_seconds(c, seconds);
  rest += seconds * fps;
  due = floor(rest + EARLY);
  *left = rest - due;
  return due;
}

static void goal(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream *s = need_stream(c, a);
  constraints given = {TEMP(c, constraint, 1), 1};
  constraint *item = given.items;
  check_seconds(c, a->seconds);
  if (!isfinite(a->x) || !isfinite(a->z) || (a->floats && !isfinite(*a->floats)))
    fail(c, MRT_BAD_INPUT, "a goal's place and heading must be finite");
  item->kind = MRT_ROOT_PATH;
  item->num_frames = 1;
  item->columns = 2;
  item->frames = TEMP(c, int32_t, 1);
  item->smooth_root = TEMP(c, float, 2);
  item->frames[0] = (int32_t)nearbyint(a->seconds * s->model->features.fps);
  item->smooth_root[0] = a->x, item->smooth_root[1] = a->z;
  if (a->floats) {
    item->heading = TEMP(c, float, 2);
    item->heading[0] = (float)cos(*a->floats), item->heading[1] = (float)sin(*a->floats);
  }
  lock_hold(c, &s->guard);
  add(c, s, given);
}

mrt_status mrt_stream_goal(mrt_stream *stream, float x, float z, double seconds,
                           const float *heading_rad) {
  stream_arguments a = {.x = x, .z = z, .seconds = seconds, .floats = heading_rad};
  return on_stream(stream, goal, &a);
}

static void constrain(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream *s = need_stream(c, a);
  constraints given;
  if (!a->text) fail(c, MRT_BAD_ARGUMENT, "constraints are NULL");
  given = constraints_parse(c, a->text, strlen(a->text), "constraints",
                            s->model->features.skeleton);
  constraints_need_hips(c, given);
  lock_hold(c, &s->guard);
  add(c, s, given);
}

mrt_status mrt_stream_constraints(mrt_stream *stream, const char *constraints_json) {
  stream_arguments a = {.text = constraints_json};
  return on_stream(stream, constrain, &a);
}

static void velocity(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream *s = need_stream(c, a);
  int32_t size = s->model->size;
  const controls *last;
  controls *made;
  if (a->floats && (!isfinite(a->floats[0]) || !isfinite(a->floats[1])))
    fail(c, MRT_BAD_INPUT, "a velocity must be finite");
  if (a->floats) needs_constraints(c, s);
  lock_hold(c, &s->guard);
  last = last_asked(s);
  if (a->floats ? last->has_velocity && last->velocity[0] == (double)a->floats[0] &&
                      last->velocity[1] == (double)a->floats[1]
                : !last->has_velocity)
    return;
  made = changed(c, s, last->held);
  made->has_velocity = a->floats != NULL;
  made->velocity[0] = a->floats ? (double)a->floats[0] : 0;
  made->velocity[1] = a->floats ? (double)a->floats[1] : 0;
  change(c, s, made, (next_change(s) + size - 1) / size * size);
}

mrt_status mrt_stream_velocity(mrt_stream *stream, const float *velocity_xz) {
  stream_arguments a = {.floats = velocity_xz};
  return on_stream(stream, velocity, &a);
}

static void clear(call *c, void *arguments) {
  mrt_stream *s = need_stream(c, arguments);
  constraints none = {NULL, 0};
  controls *made;
  lock_hold(c, &s->guard);
  made = changed(c, s, none);
  made->has_velocity = false;
  change(c, s, made, -1);
}

mrt_status mrt_stream_clear(mrt_stream *stream) {
  stream_arguments a = {0};
  return on_stream(stream, clear, &a);
}

static void replan(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream *s = need_stream(c, a);
  int32_t frame;
  if (a->frame > MOST_STREAMED) fail(c, MRT_BAD_INPUT, "a stream never comes to that frame");
  lock_hold(c, &s->guard);
  frame = next_change(s);
  if (a->frame > frame) frame = (int32_t)a->frame;
  timeline_cut(c, &s->state.line, frame);
  cut_buffer(s, frame);
}

mrt_status mrt_stream_replan(mrt_stream *stream, int64_t at) {
  stream_arguments a = {.frame = at};
  return on_stream(stream, replan, &a);
}

static void take(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream *s = need_stream(c, a);
  if (!a->motion) fail(c, MRT_BAD_ARGUMENT, "out is NULL");
  stream_begin_taking(c, s);
  *a->motion = motion_keep(stream_fetch(c, s, a->num_frames));
}

mrt_status mrt_stream_take(mrt_stream *stream, int32_t num_frames, mrt_motion **out) {
  stream_arguments a = {.num_frames = num_frames, .motion = out};
  return on_stream(stream, take, &a);
}

static void advance(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream *s = need_stream(c, a);
  uint32_t epoch;
  double rest, due;
  mrt_motion *made = NULL;
  lock **held;
  if (!a->motion) fail(c, MRT_BAD_ARGUMENT, "out is NULL");
  stream_begin_taking(c, s);
  held = lock_hold(c, &s->guard);
  due = frames_due(c, s->state.rest, a->seconds, s->model->features.fps, &rest);
  epoch = s->epoch;
  lock_release(held);
  if (due >= 1) made = stream_fetch(c, s, due > MOST_FRAMES ? MOST_FRAMES + 1 : (int32_t)due);
  lock_hold(c, &s->guard);
  if (epoch == s->epoch) s->state.rest = rest;
  if (made) *a->motion = motion_keep(made);
}

mrt_status mrt_stream_advance(mrt_stream *stream, double seconds, mrt_motion **out) {
  stream_arguments a = {.seconds = seconds, .motion = out};
  return on_stream(stream, advance, &a);
}

static void make(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream *s = need_stream(c, a);
  if (a->num_frames < 1 || a->num_frames > MOST_FRAMES)
    fail(c, MRT_BAD_INPUT, "%d frames: from 1 to %d can be made ahead", a->num_frames, MOST_FRAMES);
  while (!make_towards(c, s, a->num_frames)) continue;
}

mrt_status mrt_stream_make(mrt_stream *stream, int32_t num_frames) {
  stream_arguments a = {.num_frames = num_frames};
  return on_stream(stream, make, &a);
}

static void get_info(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream *s = need_stream(c, a);
  mrt_stream_info info;
  size_t size;
  if (!a->info) fail(c, MRT_BAD_ARGUMENT, "info is NULL");
  size = a->info->struct_size;
  if (size < sizeof size) fail(c, MRT_BAD_ARGUMENT, "info: call mrt_stream_info_init first");
  mrt_stream_info_init(&info);
  lock_hold(c, &s->guard);
  info.struct_size = size;
  info.fps = s->model->features.fps;
  info.horizon = s->model->horizon;
  info.seed = s->state.seed;
  info.position = s->state.position;
  info.planned = buffer_end(s);
  info.next_change = next_change(s);
  info.position_seconds = (double)info.position / info.fps;
  info.planned_seconds = (double)info.planned / info.fps;
  info.held_frames = s->state.buffer.count;
  memcpy(a->info, &info, size < sizeof info ? size : sizeof info);
}

mrt_status mrt_stream_get_info(mrt_stream *stream, mrt_stream_info *info) {
  stream_arguments a = {.info = info};
  return on_stream(stream, get_info, &a);
}

static void snapshot(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream *s = need_stream(c, a);
  buffer out = {&c->memory, NULL, 0, 0};
  lock **held;
  if (!a->write) fail(c, MRT_BAD_ARGUMENT, "write is NULL");
  held = lock_hold(c, &s->guard);
  snapshot_write(c, s, &out);
  lock_release(held);
  if (!a->write(a->user, out.bytes, out.length))
    fail(c, MRT_FILE_ERROR, "the snapshot was not taken to its end");
}

mrt_status mrt_stream_snapshot(mrt_stream *stream, mrt_write_fn write, void *user) {
  stream_arguments a = {.write = write, .user = user};
  return on_stream(stream, snapshot, &a);
}

static void end_state(void *what) { state_end(what); }

static void restore(call *c, void *arguments) {
  stream_arguments *a = arguments;
  mrt_stream *s = need_stream(c, a);
  stream_state *made = TEMP(c, stream_state, 1), old;
  int32_t i;
  if (!a->bytes) fail(c, MRT_BAD_ARGUMENT, "bytes are NULL");
  pipeline_hold(c, s->pipeline);
  arena_defer(c, &c->memory, end_state, made);
  snapshot_read(c, s, a->bytes, a->num_bytes, made);
  lock_hold(c, &s->guard);
  for (i = 0; i < made->line.num_entries; i++) made->line.entries[i]->serial = ++s->serials;
  s->epoch++;
  s->claimed = 0;
  old = s->state;
  s->state = *made;
  *made = old; /* is freed with the call */
}

mrt_status mrt_stream_restore(mrt_stream *stream, const void *bytes, size_t num_bytes) {
  stream_arguments a = {.bytes = bytes, .num_bytes = num_bytes};
  return on_stream(stream, restore, &a);
}
