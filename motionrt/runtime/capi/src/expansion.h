/* Skeletons that are written on a larger one, and what their files need: tables of the package. */
#ifndef MRT_EXPANSION_H
#define MRT_EXPANSION_H

#include "call.h"

typedef struct expansion {
  const char *name;        /* of the larger skeleton */
  int32_t num_joints, num_small;
  const int32_t *indices;  /* (small J) where each joint of the smaller stands */
  const float *relaxed;    /* (J, 9) local rotations that the others have */
  const float *bvh_rest_positions;   /* (J, 3) of the rig in BVH files */
  const float *bvh_rotation_offsets; /* (J, 9) */
} expansion;

/* By the larger skeleton's name; NULL if there is none, or name is NULL. */
const expansion *find_expansion(const char *name);

#endif
