#include "rotation.h"

#include <float.h>

mat3 turn_about(vec3 a, double angle) {
  mat3 cross = {{{0, -a.z, a.y}, {a.z, 0, -a.x}, {-a.y, a.x, 0}}};
  mat3 square = mat_mul(cross, cross), result = mat_identity();
  double sine = sin(angle), rest = 1 - cos(angle);
  int i, j;
  for (i = 0; i < 3; i++)
    for (j = 0; j < 3; j++) result.m[i][j] += sine * cross.m[i][j] + rest * square.m[i][j];
  return result;
}

mat3 turn_about_y(double angle) {
  double c = cos(angle), s = sin(angle);
  mat3 result = {{{c, 0, s}, {0, 1, 0}, {-s, 0, c}}};
  return result;
}

mat3 axis_angle_to_mat(vec3 v) {
  double angle = vec_length(v);
  return turn_about(vec_scale(v, 1 / (angle + 1e-6)), angle);
}

vec3 mat_to_rotation_vector(mat3 a) {
  quat q = mat_to_quat(a);
  vec3 v = q.w < 0 ? vec(-q.x, -q.y, -q.z) : vec(q.x, q.y, q.z);
  return vec_scale(vec_unit(v), 2 * atan2(vec_length(v), fabs(q.w)));
}

mat3 rotation_vector_to_mat(vec3 v) { return turn_about(vec_unit(v), vec_length(v)); }

mat3 rot6d_to_mat(const float *f) {
  vec3 a = vec_load(f), b = vec_load(f + 3), x, z;
  x = vec_scale(a, 1 / vec_length(a));
  z = vec_cross(x, b);
  z = vec_scale(z, 1 / vec_length(z));
  return mat_columns(x, vec_cross(z, x), z);
}

void mat_to_rot6d(mat3 a, float *f) {
  vec_store(f, mat_column(a, 0));
  vec_store(f + 3, mat_column(a, 1));
}

quat mat_to_quat(mat3 a) {
  double m00 = a.m[0][0], m11 = a.m[1][1], m22 = a.m[2][2];
  double squares[4], rows[4][4], size, scale;
  double wx = a.m[2][1] - a.m[1][2], wy = a.m[0][2] - a.m[2][0], wz = a.m[1][0] - a.m[0][1];
  double xy = a.m[1][0] + a.m[0][1], xz = a.m[2][0] + a.m[0][2], yz = a.m[2][1] + a.m[1][2];
  int i, best = 0;
  quat result;
  squares[0] = 1 + m00 + m11 + m22;
  squares[1] = 1 + m00 - m11 - m22;
  squares[2] = 1 - m00 + m11 - m22;
  squares[3] = 1 - m00 - m11 + m22;
  for (i = 1; i < 4; i++)
    if (squares[i] > squares[best]) best = i;
  size = sqrt(squares[best] > 0 ? squares[best] : 0);
  rows[0][0] = rows[1][1] = rows[2][2] = rows[3][3] = size * size;
  rows[0][1] = rows[1][0] = wx;
  rows[0][2] = rows[2][0] = wy;
  rows[0][3] = rows[3][0] = wz;
  rows[1][2] = rows[2][1] = xy;
  rows[1][3] = rows[3][1] = xz;
  rows[2][3] = rows[3][2] = yz;
  scale = 1 / (2 * (size > 0.1 ? size : 0.1));
  result.w = rows[best][0] * scale;
  result.x = rows[best][1] * scale;
  result.y = rows[best][2] * scale;
  result.z = rows[best][3] * scale;
  return result;
}

mat3 quat_to_mat(quat q) {
  double w = q.w, x = q.x, y = q.y, z = q.z;
  double s = 2 / (w * w + x * x + y * y + z * z);
  mat3 result = {{{1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)},
                  {s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)},
                  {s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)}}};
  return result;
}

static double quat_length(quat q) {
  return sqrt(q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z);
}

quat quat_unit(quat q) {
  double length = quat_length(q);
  quat none = {0, 0, 0, 0};
  quat result = {q.w / length, q.x / length, q.y / length, q.z / length};
  return length < NO_LENGTH ? none : result;
}

quat quat_mul(quat a, quat b) {
  quat result = {a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z,
                 a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
                 a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
                 a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w};
  return result;
}

quat quat_slerp(quat a, quat b, double t) {
  double dot = a.w * b.w + a.x * b.x + a.y * b.y + a.z * b.z, angle, sine, ka, kb;
  quat minus, plus, mixed;
  if (dot < 0) b.w = -b.w, b.x = -b.x, b.y = -b.y, b.z = -b.z;
  minus.w = b.w - a.w, minus.x = b.x - a.x, minus.y = b.y - a.y, minus.z = b.z - a.z;
  plus.w = b.w + a.w, plus.x = b.x + a.x, plus.y = b.y + a.y, plus.z = b.z + a.z;
  /* The half-angle form keeps full precision for nearly equal rotations, acos does not. */
  angle = 2 * atan2(quat_length(minus), quat_length(plus));
  sine = sin(angle);
  ka = sine < 1e-6 ? 1 - t : sin((1 - t) * angle) / sine;
  kb = sine < 1e-6 ? t : sin(t * angle) / sine;
  mixed.w = ka * a.w + kb * b.w;
  mixed.x = ka * a.x + kb * b.x;
  mixed.y = ka * a.y + kb * b.y;
  mixed.z = ka * a.z + kb * b.z;
  return quat_unit(mixed);
}

/* x × d, or y × d where d lies along x; zero gives zero. */
static vec3 perpendicular(vec3 d) {
  return vec_unit(vec_cross(fabs(d.x) < 0.9 ? vec(1, 0, 0) : vec(0, 1, 0), d));
}

mat3 shortest_arc(vec3 start, vec3 end, double still_above) {
  vec3 a = vec_unit(start), b = vec_unit(end), middle = vec_add(a, b), axis;
  double length = vec_length(middle);
  quat q;
  if (vec_dot(a, b) > still_above) return mat_identity();
  /* Half the angle by the vector in the middle: a × b and 1 + a·b lose it near a half turn. */
  if (length < 8 * DBL_EPSILON) {
    axis = perpendicular(a);
    q.w = vec_length(axis) == 0;
  } else {
    axis = vec_scale(vec_cross(a, middle), 1 / length);
    q.w = length / 2;
  }
  q.x = axis.x, q.y = axis.y, q.z = axis.z;
  return quat_to_mat(q);
}
