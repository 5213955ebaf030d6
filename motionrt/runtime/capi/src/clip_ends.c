#include "clip_ends.h"

#include "seen_pose.h"

/* A foot joint this close to its lowest height stands, where contacts are not known. */
#define STANDING_HEIGHT_M 0.015
/* How long a movement goes on as it was while it is led into a pose. */
#define GLIDE_SECONDS 0.15

/* When each foot joint stands, as foot_contacts say or by heights: (T, count), the left foot's in
 * front; NULL if the feet are not known. */
static const uint8_t *standing(call *c, const mrt_motion *m, int32_t *count) {
  const joint_group *feet[2];
  int32_t ankles, all, t, side, i, column = 0;
  uint8_t *found;
  feet[0] = &m->skeleton->left_foot, feet[1] = &m->skeleton->right_foot;
  ankles = (feet[0]->count < 2 ? feet[0]->count : 2) + (feet[1]->count < 2 ? feet[1]->count : 2);
  all = feet[0]->count + feet[1]->count;
  *count = m->num_contacts;
  if (all && m->foot_contacts && (m->num_contacts == ankles || m->num_contacts == all))
    return m->foot_contacts;
  *count = ankles;
  if (!ankles) return NULL;
  found = TEMP(c, uint8_t, (size_t)m->num_frames * ankles);
  for (side = 0; side < 2; side++)
    for (i = 0; i < 2 && i < feet[side]->count; i++, column++) {
      int32_t joint = feet[side]->joints[i];
      double lowest = motion_joint(m, 0, joint).y;
      for (t = 1; t < m->num_frames; t++)
        if (motion_joint(m, t, joint).y < lowest) lowest = motion_joint(m, t, joint).y;
      for (t = 0; t < m->num_frames; t++)
        found[(size_t)t * ankles + column] =
            motion_joint(m, t, joint).y < lowest + STANDING_HEIGHT_M;
    }
  return found;
}

static bool stands(const uint8_t *contacts, int32_t count, int32_t t, int side) {
  int32_t half = count / 2, i;
  for (i = 0; i < half; i++)
    if (contacts[(size_t)t * count + (side ? half + i : i)]) return true;
  return false;
}

mrt_motion *trimmed(call *c, const mrt_motion *m) {
  int32_t count, start = 0, stop = m->num_frames - 1, first = -1, last = -1, t;
  const uint8_t *contacts = standing(c, m, &count);
  int side;
  if (!contacts || count < 2 || count % 2)
    fail(c, MRT_BAD_INPUT, "skeleton %s: its feet are not known; cut it by frames instead",
         m->skeleton->name);
  for (t = 1; t < m->num_frames; t++)
    for (side = 0; side < 2; side++)
      if (stands(contacts, count, t, side) && !stands(contacts, count, t - 1, side)) {
        if (first < 0) first = t;
        last = t;
      }
  if (!stands(contacts, count, 0, 0) || !stands(contacts, count, 0, 1))
    start = first < 0 ? stop : first;
  if (!stands(contacts, count, m->num_frames - 1, 0) ||
      !stands(contacts, count, m->num_frames - 1, 1))
    stop = last < 0 ? start : last;
  if (stop <= start)
    fail(c, MRT_BAD_INPUT, "no foot comes down twice; nothing says where to trim it");
  return motion_crop(c, m, start, stop + 1);
}

mrt_motion *to_rest(call *c, const mrt_motion *m, double seconds) {
  const mrt_skeleton *s = m->skeleton;
  int32_t joints = s->num_joints, last = m->num_frames - 1, count, t, j;
  double wanted = isfinite(seconds) ? nearbyint(seconds * m->fps) : 0;
  double *heading, glide = GLIDE_SECONDS * m->fps, turn = 0, lowest = s->rest_positions[1], height;
  vec3 *twist = TEMP(c, vec3, joints), velocity = vec(0, 0, 0), place = motion_root(m, last);
  mrt_motion *made;
  if (wanted < 1)
    fail(c, MRT_BAD_INPUT, "%g seconds to a pose: it must be a frame or more", seconds);
  if (m->num_frames + wanted > MOST_FRAMES)
    fail(c, MRT_BAD_INPUT, "%g seconds to a pose make more than %d frames", seconds, MOST_FRAMES);
  count = (int32_t)wanted;
  heading = headings(c, m);
  if (last >= 2) {
    velocity = root_slope(m, last);
    turn = heading_slope(heading, m->num_frames, last);
    spin(m, heading, last, twist);
  }
  if (glide < 1) glide = 1;
  for (j = 1; j < joints; j++)
    if (s->rest_positions[3 * j + 1] < lowest) lowest = s->rest_positions[3 * j + 1];
  height = s->rest_positions[1] - lowest + s->foot_clearance;
  made = motion_new(c, s, m->num_frames + count, m->fps);
  motion_inherit(c, made, m);
  made->is_loop = false;
  if (m->foot_contacts) {
    motion_add_contacts(c, made, m->num_contacts);
    memcpy(made->foot_contacts, m->foot_contacts, (size_t)m->num_frames * m->num_contacts);
  }
  memcpy(made->local_mats, m->local_mats, (size_t)m->num_frames * joints * 9 * sizeof(float));
  memcpy(made->root_positions, m->root_positions, (size_t)m->num_frames * 3 * sizeof(float));
  for (t = 1; t <= count; t++) {
    double gone = glide * (1 - exp(-t / glide)); /* it starts as it was and dies away */
    double share = (double)t / count, angle = heading[last] + gone * turn;
    double weight = share * share * share * (10 - 15 * share + 6 * share * share);
    static const quat rest = {1, 0, 0, 0};
    vec3 root = vec_add(place, vec_scale(velocity, gone));
    root.y = root.y * (1 - weight) + height * weight;
    motion_set_root(made, last + t, root);
    for (j = 0; j < joints; j++) {
      mat3 on = mat_mul(seen_rotation(m, heading[last], last, j),
                        rotation_vector_to_mat(vec_scale(twist[j], gone)));
      on = quat_to_mat(quat_slerp(mat_to_quat(on), rest, weight));
      motion_set_local(made, last + t, j, j ? on : mat_mul(turn_about_y(angle), on));
    }
    if (m->foot_contacts)
      memset(made->foot_contacts + (size_t)(last + t) * m->num_contacts, weight > 0.95,
             (size_t)m->num_contacts);
  }
  motion_complete(c, made);
  return made;
}

mrt_motion *from_rest(call *c, const mrt_motion *m, double seconds) {
  mrt_motion *back = motion_reversed(c, m), *led = to_rest(c, back, seconds), *made;
  motion_drop(back);
  made = motion_reversed(c, led);
  motion_drop(led);
  return made;
}
