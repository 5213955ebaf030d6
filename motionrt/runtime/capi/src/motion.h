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
};

struct mrt_motions {
  arena keep;
  struct arena_cleanup *guard; /* frees it with the call that makes it, until it is kept */
  int32_t count;
  mrt_motion **items;
};

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

#endif
