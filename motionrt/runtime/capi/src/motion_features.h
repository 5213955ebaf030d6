/* Kimodo's motion features: what its network reads and writes, and the way from and to motions.
 *
 * A frame has 12 J + 9 features: smooth root position (3, y is the root joint's height), heading
 * (cosine, sine), joint positions relative to the smooth root's x and z (3 J), world rotations (6 J),
 * velocities (3 J) and foot contacts (4).
 */
#ifndef MRT_MOTION_FEATURES_H
#define MRT_MOTION_FEATURES_H

#include "skeleton.h"

#define HEADING_FEATURE 3
#define POSITION_FEATURES 5

typedef struct motion_features {
  const mrt_skeleton *skeleton;
  double fps;
  int32_t num_joints, width;
  int32_t rotations, velocities, contacts; /* where these blocks begin */
  const float *mean, *scale;               /* (width) */
} motion_features;

/* A clip, decoded: T frames of J joints. */
typedef struct decoded {
  mat3 *local;  /* (T, J) */
  vec3 *posed;  /* (T, J) */
  vec3 *root;   /* (T) */
  float *smooth; /* (T, 3) */
  bool *contacts; /* (T, 4) */
} decoded;

motion_features features_make(const mrt_skeleton *skeleton, double fps);
/* In place, of so many frames. */
void features_normalize(const motion_features *f, float *values, size_t num_frames);
void features_unnormalize(const motion_features *f, float *values, size_t num_frames);
/* Move by x and z, in place: only the smooth root moves. */
void features_translate(const motion_features *f, float *values, size_t num_frames, float x,
                        float z);
/* Turn a clip into features (T, width), not normalised. */
void features_encode(call *c, const motion_features *f, const mat3 *local, const vec3 *root,
                     int32_t num_frames, float *values);
decoded features_decode(call *c, const motion_features *f, const float *values,
                        int32_t num_frames);

#endif
