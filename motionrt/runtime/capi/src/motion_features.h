/* Motion features: what Kimodo's and ARDY's networks read and write, and the way from and to motions.
 *
 * A frame has the root's path (3, y is the root joint's height), heading (cosine, sine), joint
 * positions relative to the path's x and z (3 a joint), world rotations (6 J), velocities (3 J) and
 * foot contacts (4). Kimodo's path is the smoothed root, and every joint has a position: 12 J + 9.
 * ARDY's is the root joint itself, which has no other position: 12 J + 6.
 */
#ifndef MRT_MOTION_FEATURES_H
#define MRT_MOTION_FEATURES_H

#include "bundle.h"

#define HEADING_FEATURE 3
#define POSITION_FEATURES 5

typedef struct motion_features {
  const mrt_skeleton *skeleton;
  double fps;
  int32_t num_joints, width;
  int32_t first_joint; /* that has a position: 1 where the path is the root joint's */
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

motion_features features_make(const mrt_skeleton *skeleton, double fps, int32_t first_joint);
/* Take mean and deviation of all features from a bundle's statistics. */
void features_read(call *c, arena *from, const bundle *b, named_bytes statistics,
                   motion_features *f);
/* An array (width) of them, and what normalising divides by: deviations with a floor under them. */
const float *statistic(call *c, arena *from, const bundle *b, named_bytes statistics,
                       const char *name, int32_t width);
const float *standard_scale(call *c, arena *from, const float *deviations, int32_t width);
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
