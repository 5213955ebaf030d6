#include "blend.h"

#include <string.h>

#include "resample.h"
#include "seen_pose.h"

/* How much of the first motion's end, and of the second's start, may be left away so that the feet
 * are in the same phase of their stride: more than one stride. */
#define SEARCH_SECONDS 1.5

static bool same_joints(const mrt_skeleton *a, const mrt_skeleton *b) {
  int32_t j;
  if (a->num_joints != b->num_joints) return false;
  for (j = 0; j < a->num_joints; j++)
    if (a->parents[j] != b->parents[j] || strcmp(a->joint_names[j], b->joint_names[j]))
      return false;
  return true;
}

/* Where `count` frames of the first and of the second are most alike. */
static void find_alike(call *c, const mrt_motion *const m[2], double *const heading[2],
                       int32_t count, int32_t start[2]) {
  double *poses[2], *apart, least = INFINITY, widest = nearbyint(SEARCH_SECONDS * m[0]->fps);
  int32_t width = 9 * m[0]->skeleton->num_joints, latest = m[0]->num_frames - count, earliest;
  int32_t starts, begins = m[1]->num_frames - count + 1, rows, columns, row, column, k;
  poses[0] = seen_poses(c, m[0], heading[0]);
  poses[1] = seen_poses(c, m[1], heading[1]);
  earliest = latest > widest ? latest - (int32_t)widest : 0;
  starts = latest - earliest + 1;
  if (begins > widest + 1) begins = (int32_t)widest + 1;
  rows = starts + count - 1;
  columns = begins + count - 1;
  apart = TEMP(c, double, (size_t)rows * columns);
  for (row = 0; row < rows; row++)
    for (column = 0; column < columns; column++)
      apart[(size_t)row * columns + column] =
          row_distance(poses[0] + (size_t)(earliest + row) * width,
                       poses[1] + (size_t)column * width, width);
  for (row = 0; row < starts; row++)
    for (column = 0; column < begins; column++) {
      double total = 0;
      for (k = 0; k < count; k++) total += apart[(size_t)(row + k) * columns + column + k];
      if (total < least) {
        least = total;
        start[0] = earliest + row;
        start[1] = column;
      }
    }
}

static void copy_frames(mrt_motion *to, int32_t at, const mrt_motion *from, int32_t first,
                        int32_t count) {
  size_t width = 9 * (size_t)from->skeleton->num_joints;
  memcpy(to->local_mats + width * (size_t)at, from->local_mats + width * (size_t)first,
         width * (size_t)count * sizeof(float));
  memcpy(to->root_positions + 3 * (size_t)at, from->root_positions + 3 * (size_t)first,
         3 * (size_t)count * sizeof(float));
}

mrt_motion *blended(call *c, const mrt_motion *first, const mrt_motion *second, double seconds) {
  const mrt_skeleton *s = first->skeleton;
  const mrt_motion *m[2];
  double *heading[2], wanted, turn, angle;
  int32_t start[2] = {0, 0}, count, last, rest, k, t, j, i;
  mrt_motion *other, *made;
  flat path, ended;
  if (!same_joints(s, second->skeleton))
    fail(c, MRT_BAD_INPUT, "skeletons %s and %s differ; retarget one of the motions first", s->name,
         second->skeleton->name);
  other = resampled(c, second, first->fps);
  m[0] = first, m[1] = other ? other : second;
  wanted = isfinite(seconds) && seconds > 0 ? nearbyint(seconds * first->fps) + 1 : 0;
  if (wanted < 2)
    fail(c, MRT_BAD_INPUT, "a blend of %g seconds: it must be longer than a frame", seconds);
  for (i = 0; i < 2; i++)
    if (m[i]->num_frames < wanted + 1)
      fail(c, MRT_BAD_INPUT,
           "a blend of %g seconds needs motions that are longer; one of them has %.2f", seconds,
           m[i]->num_frames / m[i]->fps);
  count = (int32_t)wanted;
  for (i = 0; i < 2; i++) heading[i] = headings(c, m[i]);
  find_alike(c, m, heading, count, start);
  last = start[1] + count - 1; /* of the second that fades */
  rest = m[1]->num_frames - 1 - last;
  if ((double)start[0] + count + rest > MOST_FRAMES)
    fail(c, MRT_BAD_INPUT, "joined they have more than %d frames", MOST_FRAMES);
  made = motion_new(c, s, start[0] + count + rest, first->fps);
  motion_inherit(c, made, first);
  made->is_loop = false;
  made->in_place = first->in_place && second->in_place;
  made->prompt = arena_print(c, &made->keep, "%s%s%s", first->prompt,
                             *first->prompt && *second->prompt ? " " : "", second->prompt);
  copy_frames(made, 0, m[0], 0, start[0]);
  angle = heading[0][start[0]];
  path = flat_of(motion_root(m[0], start[0]));
  for (k = 0; k < count; k++) {
    double share = (double)k / (count - 1), weight = share * share * (3 - 2 * share);
    if (k) { /* what the root goes and turns from frame to frame fades, too */
      double before = (k - 1.0) / (count - 1), middle, rates[2], next;
      flat steps[2];
      middle = (weight + before * before * (3 - 2 * before)) / 2;
      for (i = 0; i < 2; i++) {
        int32_t at = start[i] + k;
        flat way = flat_sub(flat_of(motion_root(m[i], at)), flat_of(motion_root(m[i], at - 1)));
        steps[i] = about_y(way, -(heading[i][at] + heading[i][at - 1]) / 2);
        rates[i] = heading[i][at] - heading[i][at - 1];
      }
      next = angle + rates[0] * (1 - middle) + rates[1] * middle;
      path = flat_add(path, about_y(flat_add(flat_scale(steps[0], 1 - middle),
                                             flat_scale(steps[1], middle)),
                                    (next + angle) / 2));
      angle = next;
    }
    motion_set_root(made, start[0] + k,
                    vec(path.x,
                        motion_root(m[0], start[0] + k).y * (1 - weight) +
                            motion_root(m[1], start[1] + k).y * weight,
                        path.z));
    for (j = 0; j < s->num_joints; j++) {
      quat q[2];
      mat3 mixed;
      for (i = 0; i < 2; i++)
        q[i] = mat_to_quat(seen_rotation(m[i], heading[i][start[i] + k], start[i] + k, j));
      mixed = quat_to_mat(quat_slerp(q[0], q[1], weight));
      motion_set_local(made, start[0] + k, j, j ? mixed : mat_mul(turn_about_y(angle), mixed));
    }
  }
  /* The rest of the second motion, moved as one to where the fade ends. */
  turn = angle - heading[1][last];
  ended = flat_of(motion_root(m[1], last));
  copy_frames(made, start[0] + count, m[1], last + 1, rest);
  for (t = 0; t < rest; t++) {
    vec3 root = motion_root(m[1], last + 1 + t);
    flat at = flat_add(path, about_y(flat_sub(flat_of(root), ended), turn));
    motion_set_root(made, start[0] + count + t, vec(at.x, root.y, at.z));
    motion_set_local(made, start[0] + count + t, 0,
                     mat_mul(turn_about_y(turn), motion_local(m[1], last + 1 + t, 0)));
  }
  if (m[0]->foot_contacts && m[1]->foot_contacts && m[0]->num_contacts == m[1]->num_contacts) {
    size_t width = (size_t)m[0]->num_contacts, kept = (size_t)(start[0] + count / 2);
    motion_add_contacts(c, made, m[0]->num_contacts);
    memcpy(made->foot_contacts, m[0]->foot_contacts, kept * width);
    memcpy(made->foot_contacts + kept * width,
           m[1]->foot_contacts + (size_t)(start[1] + count / 2) * width,
           ((size_t)made->num_frames - kept) * width);
  }
  motion_complete(c, made);
  return made;
}
