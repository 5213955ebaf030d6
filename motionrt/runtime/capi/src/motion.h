/* Motions: one clip on one skeleton. */
#ifndef MRT_MOTION_H
#define MRT_MOTION_H

#include "skeleton.h"

struct mrt_motion {
  arena keep;      /* holds all of it, and itself */
  bool in_list;    /* belongs to a mrt_motions, which frees it */
  const mrt_skeleton *skeleton;
  int32_t num_frames, num_contacts, num_features, sample;
  double fps;
  uint32_t seed;
  const char *prompt;
  float *root_positions, *local_rotations, *global_positions, *global_rotations;
  float *local_mats;     /* (T, J, 9) as they were decoded */
  uint8_t *foot_contacts; /* or NULL */
  float *smooth_root, *heading, *features; /* each may be NULL */
  bool is_loop, in_place;
  double loop_step[2], loop_turn; /* x and z as seen from the heading of the first frame; radians */
  struct arena_cleanup *guard;    /* frees it with the call that makes it, until it is kept */
};

struct mrt_motions {
  arena keep;
  struct arena_cleanup *guard; /* frees it with the call that makes it, until it is kept */
  int32_t count;
  mrt_motion **items;
};

#define LEAST_FPS 0.001 /* with less or more, times are no float32 numbers that can be told apart */
#define MOST_FPS 1e6
#define MOST_FRAMES 1000000 /* more than anybody means */
#define LARGEST_NUMBER 1e9f

/* A list with room for so many motions. */
mrt_motions *motions_new(call *c, int32_t count);
/* Make one of them, its arrays of zeros. */
mrt_motion *motions_add(call *c, mrt_motions *list, int32_t index, const mrt_skeleton *skeleton,
                        int32_t num_frames, double fps);
/* Give a motion local rotations (T, J) and root positions (T); all else of the body follows. */
void motion_pose(call *c, mrt_motion *motion, const mat3 *local, const vec3 *root);
/* A list that is done, or the first of its motions alone: it outlives the call. */
mrt_motions *motions_keep(mrt_motions *list);
mrt_motion *motions_keep_first(mrt_motions *list);

/* A motion by itself, its arrays of zeros; freed with the call unless it is kept, or now. */
mrt_motion *motion_new(call *c, const mrt_skeleton *skeleton, int32_t num_frames, double fps);
mrt_motion *motion_keep(mrt_motion *motion);
void motion_drop(mrt_motion *motion);
/* Room for what not every motion has; zeros. */
void motion_add_contacts(call *c, mrt_motion *motion, int32_t num_contacts);
void motion_add_smooth_root(call *c, mrt_motion *motion);
void motion_add_heading(call *c, mrt_motion *motion);
/* MRT_BAD_INPUT if one of so many a frame is not finite or beyond LARGEST_NUMBER. */
void motion_check_numbers(call *c, const float *values, int32_t num_frames, size_t row,
                          const char *what);
/* Let all else of the body follow from local_mats and root_positions, which are checked. */
void motion_complete(call *c, mrt_motion *motion);
/* Take over where a motion comes from: prompt, seed, sample, whether it is a loop or in place. */
void motion_inherit(call *c, mrt_motion *to, const mrt_motion *from);
/* Frames start to stop (excluded) as a motion of their own, without features. A part of a loop is
 * none. */
mrt_motion *motion_crop(call *c, const mrt_motion *motion, int32_t start, int32_t stop);
/* The same from the last frame to the first. */
mrt_motion *motion_reversed(call *c, const mrt_motion *motion);
static inline mat3 motion_local(const mrt_motion *m, int32_t frame, int32_t joint) {
  return mat_load(m->local_mats + 9 * ((size_t)frame * m->skeleton->num_joints + joint));
}
static inline void motion_set_local(mrt_motion *m, int32_t frame, int32_t joint, mat3 local) {
  mat_store(m->local_mats + 9 * ((size_t)frame * m->skeleton->num_joints + joint), local);
}
static inline vec3 motion_root(const mrt_motion *m, int32_t frame) {
  return vec_load(m->root_positions + 3 * (size_t)frame);
}
static inline void motion_set_root(mrt_motion *m, int32_t frame, vec3 root) {
  vec_store(m->root_positions + 3 * (size_t)frame, root);
}
static inline vec3 motion_joint(const mrt_motion *m, int32_t frame, int32_t joint) {
  return vec_load(m->global_positions + 3 * ((size_t)frame * m->skeleton->num_joints + joint));
}
/* Where the body faces: by its hips, or by the root's own z where these are not known. */
double motion_heading(const mrt_motion *motion, int32_t frame);

#endif
