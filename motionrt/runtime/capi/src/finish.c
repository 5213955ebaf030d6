#include <string.h>

#include "blend.h"
#include "clip_ends.h"
#include "loop.h"
#include "mirror.h"
#include "resample.h"
#include "root_path.h"

/* ---- One after the other ---- */

typedef struct finish_arguments {
  const mrt_motion *motion;
  const mrt_finish_options *options;
  mrt_loop_info *info;
  mrt_motion **out;
} finish_arguments;

/* The motion at hand: that which was given, or one that was made of it. */
typedef struct at_hand {
  const mrt_motion *now;
  mrt_motion *made; /* NULL: it is the one that was given */
} at_hand;

static void take(at_hand *a, mrt_motion *next) {
  if (!next) return; /* nothing changed */
  if (a->made) motion_drop(a->made);
  a->now = a->made = next;
}

static mrt_finish_options read_options(call *c, const mrt_finish_options *given) {
  mrt_finish_options o;
  mrt_finish_options_init(&o);
  if (!given) return o;
  if (given->struct_size < sizeof given->struct_size)
    fail(c, MRT_BAD_ARGUMENT, "options: call mrt_finish_options_init first");
  memcpy(&o, given, given->struct_size < sizeof o ? given->struct_size : sizeof o);
  if (o.loop && (o.from_rest || o.to_rest))
    fail(c, MRT_BAD_INPUT, "a loop has no ends that could be led to a pose");
  if (o.loop_seconds != 0 && !o.loop)
    fail(c, MRT_BAD_INPUT, "the longest round is given, but no loop is asked for");
  if (!isfinite(o.face_rad)) fail(c, MRT_BAD_INPUT, "face_rad must be finite");
  return o;
}

static void finish(call *c, void *arguments) {
  finish_arguments *a = arguments;
  mrt_finish_options o;
  mrt_loop_info figures;
  at_hand hand;
  if (!a->motion || !a->out) fail(c, MRT_BAD_ARGUMENT, "motion or out is NULL");
  if (a->info && a->info->struct_size < sizeof a->info->struct_size)
    fail(c, MRT_BAD_ARGUMENT, "info: call mrt_loop_info_init first");
  o = read_options(c, a->options);
  mrt_loop_info_init(&figures);
  hand.now = a->motion;
  hand.made = NULL;
  if (o.trim) take(&hand, trimmed(c, hand.now));
  if (o.mirror) take(&hand, mirrored(c, hand.now));
  if (o.speed != 1) take(&hand, at_speed(c, hand.now, o.speed));
  if (o.fps != 0) take(&hand, resampled(c, hand.now, o.fps));
  if (o.loop) take(&hand, looped(c, hand.now, o.loop_seconds, &figures));
  if (o.from_rest) take(&hand, from_rest(c, hand.now, o.pose_seconds));
  if (o.to_rest) take(&hand, to_rest(c, hand.now, o.pose_seconds));
  if (o.in_place)
    take(&hand, in_place(c, hand.now, o.face ? o.face_rad : 0, o.root_smoothing));
  else if (o.start_at_origin || o.face)
    take(&hand, placed(c, hand.now, o.start_at_origin, o.face, o.face_rad));
  if (!hand.made) take(&hand, motion_crop(c, hand.now, 0, hand.now->num_frames));
  if (a->info) {
    size_t size = a->info->struct_size;
    figures.struct_size = size;
    memcpy(a->info, &figures, size < sizeof figures ? size : sizeof figures);
  }
  *a->out = motion_keep(hand.made);
}

mrt_status mrt_motion_finish(const mrt_motion *motion, const mrt_finish_options *options,
                             mrt_loop_info *loop, mrt_motion **out) {
  finish_arguments arguments = {motion, options, loop, out};
  if (out) *out = NULL;
  return call_run(finish, &arguments);
}

typedef struct blend_arguments {
  const mrt_motion *first, *second;
  double seconds;
  mrt_motion **out;
} blend_arguments;

static void blend(call *c, void *arguments) {
  blend_arguments *a = arguments;
  if (!a->first || !a->second || !a->out)
    fail(c, MRT_BAD_ARGUMENT, "first, second or out is NULL");
  *a->out = motion_keep(blended(c, a->first, a->second, a->seconds));
}

mrt_status mrt_motion_blend(const mrt_motion *first, const mrt_motion *second, double seconds,
                            mrt_motion **out) {
  blend_arguments arguments = {first, second, seconds, out};
  if (out) *out = NULL;
  return call_run(blend, &arguments);
}

typedef struct path_arguments {
  const mrt_motion *motion;
  double smooth_seconds;
  float *places, *heading;
} path_arguments;

static void root_path_out(call *c, void *arguments) {
  path_arguments *a = arguments;
  root_path path;
  int32_t t;
  if (!a->motion) fail(c, MRT_BAD_ARGUMENT, "motion is NULL");
  path = path_of(c, a->motion, a->smooth_seconds);
  for (t = 0; t < a->motion->num_frames; t++) {
    if (a->places)
      vec_store(a->places + 3 * (size_t)t, vec(path.places[t].x, 0, path.places[t].z));
    if (a->heading) a->heading[t] = (float)path.heading[t];
  }
}

mrt_status mrt_motion_root_path(const mrt_motion *motion, double smooth_seconds, float *positions,
                                float *headings_rad) {
  path_arguments arguments = {motion, smooth_seconds, positions, headings_rad};
  return call_run(root_path_out, &arguments);
}

/* ---- Motions from elsewhere ---- */

typedef struct make_arguments {
  const mrt_skeleton *skeleton;
  const mrt_motion_arrays *arrays;
  mrt_motion **out;
} make_arguments;

#define MOST_CONTACTS 64

static void make(call *c, void *arguments) {
  make_arguments *a = arguments;
  mrt_motion_arrays given = {0};
  mrt_motion *m;
  size_t cells, i;
  if (!a->skeleton || !a->arrays || !a->out)
    fail(c, MRT_BAD_ARGUMENT, "skeleton, arrays or out is NULL");
  if (a->arrays->struct_size < sizeof given.struct_size)
    fail(c, MRT_BAD_ARGUMENT, "arrays: call mrt_motion_arrays_init first");
  memcpy(&given, a->arrays,
         a->arrays->struct_size < sizeof given ? a->arrays->struct_size : sizeof given);
  if (!given.root_positions || !given.local_rotations)
    fail(c, MRT_BAD_ARGUMENT, "root_positions or local_rotations is NULL");
  if (!(given.fps >= LEAST_FPS && given.fps <= MOST_FPS))
    fail(c, MRT_BAD_INPUT, "fps is %g, it must be from %g to %.0f", given.fps, LEAST_FPS, MOST_FPS);
  if (given.num_frames < 1 || given.num_frames > MOST_FRAMES)
    fail(c, MRT_BAD_INPUT, "num_frames is %d, it must be from 1 to %d", given.num_frames,
         MOST_FRAMES);
  if (given.foot_contacts && (given.num_contacts < 1 || given.num_contacts > MOST_CONTACTS))
    fail(c, MRT_BAD_INPUT, "num_contacts is %d, it must be from 1 to %d", given.num_contacts,
         MOST_CONTACTS);
  m = motion_new(c, a->skeleton, given.num_frames, given.fps);
  cells = (size_t)given.num_frames * a->skeleton->num_joints;
  memcpy(m->root_positions, given.root_positions, 3 * (size_t)given.num_frames * sizeof(float));
  for (i = 0; i < cells; i++) {
    quat q = quat_load(given.local_rotations + 4 * i);
    double length = q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z;
    if (!(length > NO_LENGTH && length <= LARGEST_NUMBER))
      fail(c, MRT_BAD_INPUT, "local_rotations: frame %zu, joint %zu is no rotation",
           i / (size_t)a->skeleton->num_joints, i % (size_t)a->skeleton->num_joints);
    mat_store(m->local_mats + 9 * i, quat_to_mat(q));
  }
  if (given.foot_contacts) {
    motion_add_contacts(c, m, given.num_contacts);
    cells = (size_t)given.num_frames * given.num_contacts;
    for (i = 0; i < cells; i++) m->foot_contacts[i] = given.foot_contacts[i] != 0;
  }
  if (given.smooth_root) {
    motion_add_smooth_root(c, m);
    memcpy(m->smooth_root, given.smooth_root, 3 * (size_t)m->num_frames * sizeof(float));
    motion_check_numbers(c, m->smooth_root, m->num_frames, 3, "smooth_root");
  }
  if (given.heading) {
    motion_add_heading(c, m);
    memcpy(m->heading, given.heading, 2 * (size_t)m->num_frames * sizeof(float));
    motion_check_numbers(c, m->heading, m->num_frames, 2, "heading");
  }
  if (given.prompt) m->prompt = arena_copy(c, &m->keep, given.prompt, strlen(given.prompt));
  motion_complete(c, m);
  *a->out = motion_keep(m);
}

mrt_status mrt_motion_make(const mrt_skeleton *skeleton, const mrt_motion_arrays *arrays,
                           mrt_motion **out) {
  make_arguments arguments = {skeleton, arrays, out};
  if (out) *out = NULL;
  return call_run(make, &arguments);
}
