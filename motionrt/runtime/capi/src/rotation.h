/* Rotations: matrices for column vectors, row by row; quaternions w x y z; radians.
 *
 * Computed in double precision, kept in single: what Python computes in single agrees to 1e-6.
 */
#ifndef MRT_ROTATION_H
#define MRT_ROTATION_H

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
/* A vector shorter than this has no direction: the cross product of parallels is such noise. */
#define NO_LENGTH 1e-12

typedef struct vec3 {
  double x, y, z;
} vec3;

typedef struct mat3 {
  double m[3][3];
} mat3;

typedef struct quat {
  double w, x, y, z;
} quat;

static inline vec3 vec(double x, double y, double z) {
  vec3 v = {x, y, z};
  return v;
}
static inline vec3 vec_load(const float *f) { return vec(f[0], f[1], f[2]); }
static inline void vec_store(float *f, vec3 v) {
  f[0] = (float)v.x;
  f[1] = (float)v.y;
  f[2] = (float)v.z;
}
static inline vec3 vec_add(vec3 a, vec3 b) { return vec(a.x + b.x, a.y + b.y, a.z + b.z); }
static inline vec3 vec_sub(vec3 a, vec3 b) { return vec(a.x - b.x, a.y - b.y, a.z - b.z); }
static inline vec3 vec_scale(vec3 a, double s) { return vec(a.x * s, a.y * s, a.z * s); }
static inline double vec_dot(vec3 a, vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline double vec_length(vec3 a) { return sqrt(vec_dot(a, a)); }
static inline vec3 vec_cross(vec3 a, vec3 b) {
  return vec(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
/* Of length one; what is shorter than NO_LENGTH becomes zero. */
static inline vec3 vec_unit(vec3 a) {
  double length = vec_length(a);
  return length < NO_LENGTH ? vec(0, 0, 0) : vec_scale(a, 1 / length);
}

static inline mat3 mat_identity(void) {
  mat3 r = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  return r;
}
static inline mat3 mat_load(const float *f) {
  mat3 r;
  int i;
  for (i = 0; i < 9; i++) r.m[i / 3][i % 3] = f[i];
  return r;
}
static inline void mat_store(float *f, mat3 a) {
  int i;
  for (i = 0; i < 9; i++) f[i] = (float)a.m[i / 3][i % 3];
}
static inline mat3 mat_columns(vec3 x, vec3 y, vec3 z) {
  mat3 r = {{{x.x, y.x, z.x}, {x.y, y.y, z.y}, {x.z, y.z, z.z}}};
  return r;
}
static inline vec3 mat_column(mat3 a, int i) { return vec(a.m[0][i], a.m[1][i], a.m[2][i]); }
static inline mat3 mat_mul(mat3 a, mat3 b) {
  mat3 r;
  int i, j;
  for (i = 0; i < 3; i++)
    for (j = 0; j < 3; j++)
      r.m[i][j] = a.m[i][0] * b.m[0][j] + a.m[i][1] * b.m[1][j] + a.m[i][2] * b.m[2][j];
  return r;
}
static inline mat3 mat_transpose(mat3 a) {
  mat3 r;
  int i, j;
  for (i = 0; i < 3; i++)
    for (j = 0; j < 3; j++) r.m[i][j] = a.m[j][i];
  return r;
}
static inline vec3 mat_apply(mat3 a, vec3 v) {
  return vec(a.m[0][0] * v.x + a.m[0][1] * v.y + a.m[0][2] * v.z,
             a.m[1][0] * v.x + a.m[1][1] * v.y + a.m[1][2] * v.z,
             a.m[2][0] * v.x + a.m[2][1] * v.y + a.m[2][2] * v.z);
}

/* Rodrigues' formula; a zero axis turns nothing. */
mat3 turn_about(vec3 unit_axis, double angle);
/* By an angle about +y; +pi/2 takes +z to +x. */
mat3 turn_about_y(double angle);
/* A rotation vector; its axis is divided by the angle plus 1e-6, as in Kimodo. */
mat3 axis_angle_to_mat(vec3 rotation_vector);
/* Rotation vectors of at most pi, small ones exactly; the two undo each other. */
vec3 mat_to_rotation_vector(mat3 a);
mat3 rotation_vector_to_mat(vec3 rotation_vector);
/* First and second column, unnormalised: x = a/|a|, z = (x × b)/|x × b|, y = z × x. */
mat3 rot6d_to_mat(const float *rot6d);
void mat_to_rot6d(mat3 a, float *rot6d);
quat mat_to_quat(mat3 a);
mat3 quat_to_mat(quat q);
quat quat_unit(quat q);
quat quat_mul(quat a, quat b);
/* Between two rotations the shorter way; fraction 0 is a, 1 is b. */
quat quat_slerp(quat a, quat b, double fraction);
/* The shortest turn from one direction to another; equal ones (by the cosine still_above; 2: never)
 * and those without length turn nothing, opposite ones half way about a perpendicular. */
mat3 shortest_arc(vec3 start, vec3 end, double still_above);

static inline quat quat_load(const float *f) {
  quat q = {f[0], f[1], f[2], f[3]};
  return q;
}
static inline void quat_store(float *f, quat q) {
  f[0] = (float)q.w;
  f[1] = (float)q.x;
  f[2] = (float)q.y;
  f[3] = (float)q.z;
}

#endif
