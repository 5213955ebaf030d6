/* Where a body goes: its path over the floor, apart from how it moves on it. */
#ifndef MRT_ROOT_PATH_H
#define MRT_ROOT_PATH_H

#include "seen_pose.h"

/* Standard deviation of the window that takes the steps out of a path. */
#define SMOOTH_SECONDS 0.25

typedef struct root_path {
  flat *places;    /* (T) */
  double *heading; /* (T) radians without jumps */
} root_path;

/* The path of the root joint and the hips, smoothed; of a loop the window goes round. */
root_path path_of(call *c, const mrt_motion *motion, double smooth_seconds);
/* A frame as the body moves on a bone that goes the path: where its root is, and how what is given in
 * the world is turned. */
vec3 carried_root(const mrt_motion *motion, const root_path *path, int32_t frame);
mat3 carried_turn(const root_path *path, int32_t frame, mat3 rotation);
/* Value i of values (count) that go on behind both ends as they came, turned by half a turn. */
double beyond_ends(const double *values, int32_t count, int64_t i);
/* Take the path away: the body stays over the origin and faces a heading. */
mrt_motion *in_place(call *c, const mrt_motion *motion, double face, double smooth_seconds);
/* Move it all, so that its path starts at the origin, along a heading, or both. */
mrt_motion *placed(call *c, const mrt_motion *motion, bool at_origin, bool turn, double face);

#endif
