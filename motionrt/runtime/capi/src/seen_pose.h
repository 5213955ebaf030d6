/* Poses as seen from the body: from the floor below its root, along its heading. Two frames of a walk
 * are the same pose there, wherever they are. */
#ifndef MRT_SEEN_POSE_H
#define MRT_SEEN_POSE_H

#include "motion.h"

/* A way over the floor, along x and z. */
typedef struct flat {
  double x, z;
} flat;

static inline flat flat_add(flat a, flat b) {
  flat f = {a.x + b.x, a.z + b.z};
  return f;
}
static inline flat flat_sub(flat a, flat b) {
  flat f = {a.x - b.x, a.z - b.z};
  return f;
}
static inline flat flat_scale(flat a, double s) {
  flat f = {a.x * s, a.z * s};
  return f;
}
static inline flat flat_of(vec3 v) {
  flat f = {v.x, v.z};
  return f;
}
/* Turned by an angle about +y. */
flat about_y(flat v, double angle);

/* Where the body faces, (T) radians without jumps by a turn. */
double *headings(call *c, const mrt_motion *motion);
/* Take jumps by a turn out of angles, in place. */
void unwrap_angles(double *angles, int32_t count);
/* A direction of the world as the body sees it that faces a heading. */
vec3 seen_along(vec3 v, double heading);
vec3 seen_joint(const mrt_motion *motion, double heading, int32_t frame, int32_t joint);
/* Relative to the parent; the root's as seen from the heading. */
mat3 seen_rotation(const mrt_motion *motion, double heading, int32_t frame, int32_t joint);
/* Joints, velocities and accelerations, weighed: rows (T, 9 J) whose distance is in metres. Two
 * frames or more. */
double *seen_poses(call *c, const mrt_motion *motion, const double *headings);
double row_distance(const double *a, const double *b, int32_t width);

/* The change per frame, to the second order also at the ends; three frames or more. */
double heading_slope(const double *headings, int32_t count, int32_t frame);
vec3 root_slope(const mrt_motion *motion, int32_t frame);
/* Rotation vectors (J) per frame, as seen from the joint. */
void spin(const mrt_motion *motion, const double *headings, int32_t frame, vec3 *vectors);

#endif
