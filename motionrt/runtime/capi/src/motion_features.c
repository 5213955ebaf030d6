#include "motion_features.h"

#include "root_smoother.h"

#define STD_EPSILON 1e-5f
#define CONTACT_MAX_SPEED_MPS 0.15
#define CONTACT_MAX_HEIGHT_M 0.10

motion_features features_make(const mrt_skeleton *skeleton, double fps, int32_t first_joint) {
  motion_features f = {0};
  f.skeleton = skeleton;
  f.fps = fps;
  f.num_joints = skeleton->num_joints;
  f.first_joint = first_joint;
  f.rotations = POSITION_FEATURES + 3 * (f.num_joints - first_joint);
  f.velocities = f.rotations + 6 * f.num_joints;
  f.contacts = f.velocities + 3 * f.num_joints;
  f.width = f.contacts + 4;
  return f;
}

const float *statistic(call *c, arena *from, const bundle *b, named_bytes statistics,
                       const char *name, int32_t width) {
  array found = safetensors_find(c, from, statistics, name);
  int32_t i;
  for (i = 0; i < width && found.values && found.rank == 1 && found.dims[0] == width; i++)
    if (!isfinite(found.values[i])) break;
  if (i < width)
    fail(c, MRT_BAD_BUNDLE, "%s: statistics.safetensors: %s is not (%d) finite numbers", b->place,
         name, width);
  return found.values;
}

const float *standard_scale(call *c, arena *from, const float *deviations, int32_t width) {
  float *scale = TAKE(c, from, float, width);
  int32_t i;
  for (i = 0; i < width; i++) scale[i] = sqrtf(deviations[i] * deviations[i] + STD_EPSILON);
  return scale;
}

void features_read(call *c, arena *from, const bundle *b, named_bytes statistics,
                   motion_features *f) {
  f->mean = statistic(c, from, b, statistics, "mean", f->width);
  f->scale = standard_scale(c, from, statistic(c, &c->memory, b, statistics, "std", f->width),
                            f->width);
}

void features_normalize(const motion_features *f, float *values, size_t num_frames) {
  size_t i, count = num_frames * f->width;
  for (i = 0; i < count; i++)
    values[i] = (values[i] - f->mean[i % f->width]) / f->scale[i % f->width];
}

void features_unnormalize(const motion_features *f, float *values, size_t num_frames) {
  size_t i, count = num_frames * f->width;
  for (i = 0; i < count; i++)
    values[i] = values[i] * f->scale[i % f->width] + f->mean[i % f->width];
}

void features_translate(const motion_features *f, float *values, size_t num_frames, float x,
                        float z) {
  size_t i;
  for (i = 0; i < num_frames; i++) {
    values[i * f->width] += x;
    values[i * f->width + 2] += z;
  }
}

void features_encode(call *c, const motion_features *f, const mat3 *local, const vec3 *root,
                     int32_t num_frames, float *values) {
  int32_t joints = f->num_joints, t, j, k;
  const mrt_skeleton *skeleton = f->skeleton;
  const int32_t feet[4] = {skeleton->left_foot.joints[0], skeleton->left_foot.joints[1],
                           skeleton->right_foot.joints[0], skeleton->right_foot.joints[1]};
  vec3 *posed = TEMP(c, vec3, (size_t)num_frames * joints);
  mat3 *rotations = TEMP(c, mat3, joints);
  float *path = TEMP(c, float, 3 * num_frames), *smooth = TEMP(c, float, 3 * num_frames);
  for (t = 0; t < num_frames; t++) vec_store(path + 3 * t, root[t]);
  if (f->first_joint)
    smooth = path;
  else
    smooth_root(c, path, num_frames, smooth);
  for (t = 0; t < num_frames; t++) {
    float *row = values + (size_t)t * f->width;
    vec3 *joint = posed + (size_t)t * joints;
    double heading;
    forward_kinematics(skeleton, local + (size_t)t * joints, root[t], joint, rotations);
    heading = heading_of(skeleton, joint);
    memcpy(row, smooth + 3 * t, 3 * sizeof(float));
    row[HEADING_FEATURE] = (float)cos(heading);
    row[HEADING_FEATURE + 1] = (float)sin(heading);
    for (j = 0; j < joints; j++) {
      vec3 relative = vec(joint[j].x - smooth[3 * t], joint[j].y, joint[j].z - smooth[3 * t + 2]);
      if (j >= f->first_joint)
        vec_store(row + POSITION_FEATURES + 3 * (j - f->first_joint), relative);
      mat_to_rot6d(rotations[j], row + f->rotations + 6 * j);
    }
  }
  for (t = 0; t < num_frames; t++) { /* the last frame repeats the speeds of the one before it */
    int32_t from = t < num_frames - 1 ? t : t - 1;
    float *row = values + (size_t)t * f->width;
    if (num_frames < 2) from = -1;
    for (j = 0; j < joints; j++) {
      vec3 speed = vec(0, 0, 0);
      if (from >= 0)
        speed = vec_scale(vec_sub(posed[(size_t)(from + 1) * joints + j],
                                  posed[(size_t)from * joints + j]),
                          f->fps);
      vec_store(row + f->velocities + 3 * j, speed);
    }
    for (k = 0; k < 4; k++) {
      vec3 speed = vec_load(row + f->velocities + 3 * feet[k]);
      row[f->contacts + k] = vec_length(speed) < CONTACT_MAX_SPEED_MPS &&
                             posed[(size_t)t * joints + feet[k]].y < CONTACT_MAX_HEIGHT_M;
    }
  }
}

decoded features_decode(call *c, const motion_features *f, const float *values,
                        int32_t num_frames) {
  int32_t joints = f->num_joints, t, j, k;
  mat3 *world = TEMP(c, mat3, joints);
  decoded d;
  d.local = TEMP(c, mat3, (size_t)num_frames * joints);
  d.posed = TEMP(c, vec3, (size_t)num_frames * joints);
  d.root = TEMP(c, vec3, num_frames);
  d.smooth = TEMP(c, float, 3 * num_frames);
  d.contacts = TEMP(c, bool, 4 * num_frames);
  for (t = 0; t < num_frames; t++) {
    const float *row = values + (size_t)t * f->width;
    mat3 *local = d.local + (size_t)t * joints;
    for (j = 0; j < joints; j++) {
      world[j] = rot6d_to_mat(row + f->rotations + 6 * j);
      local[j] = j ? mat_mul(mat_transpose(world[f->skeleton->parents[j]]), world[j]) : world[j];
    }
    d.root[t] = f->first_joint
                    ? vec_load(row)
                    : vec_add(vec_load(row + POSITION_FEATURES), vec(row[0], 0, row[2]));
    forward_kinematics(f->skeleton, local, d.root[t], d.posed + (size_t)t * joints, NULL);
    memcpy(d.smooth + 3 * t, row, 3 * sizeof(float));
    for (k = 0; k < 4; k++) d.contacts[4 * t + k] = row[f->contacts + k] > 0.5f;
  }
  return d;
}
