#include "loop.h"

#include "seen_pose.h"
#include "stature.h"

#define SHORTEST_SECONDS 0.5  /* a sprinter makes two steps in it */
#define LIKE_THE_BEST_M 0.002 /* of cycles that close about as well as the best, the longest is taken */
#define MAX_SEAM_M 0.20       /* of a body of 1.71 m; walks have 0.05 */
#define STRAIGHT_RAD (20 * PI / 180) /* less from round to round is an error of the seam, no turn */
#define NO_JUMP_MPS 0.05
#define MOST_TRIED 12
#define MOST_ROUNDS 4
#define EASE_SECONDS 0.2

typedef struct cycle {
  int32_t first, last;
} cycle;

typedef struct seam {
  double position_mm, rotation_deg, velocity_mps;
} seam;

/* ---- Finding cycles ---- */

static void lag_costs(const double *poses, int32_t frames, int32_t width, int32_t lag,
                      double *costs) {
  int32_t t;
  for (t = 0; t + lag < frames; t++)
    costs[t] =
        row_distance(poses + (size_t)t * width, poses + (size_t)(t + lag) * width, width);
}

/* The index of the least of those that are not taken yet, the first of equal ones; -1: none. */
static int32_t next_least(const double *values, const bool *taken, int32_t count) {
  int32_t best = -1, i;
  for (i = 0; i < count; i++)
    if (!taken[i] && (best < 0 || values[i] < values[best])) best = i;
  return best;
}

/* The best cycle, others of its length that close as well, then those of other lengths. */
static int32_t find_cycles(call *c, const mrt_motion *m, const double *heading, double max_seconds,
                           cycle *found) {
  int32_t frames = m->num_frames, shortest, longest = frames - 1, lags, best, count = 0, i, k;
  int32_t chosen[MOST_ROUNDS], num_chosen = 1, width = 9 * m->skeleton->num_joints;
  double alike = LIKE_THE_BEST_M * body_scale(m->skeleton), least_of_all, fewest;
  double *poses, *costs, *least;
  bool *taken;
  fewest = ceil(SHORTEST_SECONDS * m->fps);
  if (fewest < 4) fewest = 4;
  if (max_seconds != 0) {
    double most;
    if (!(isfinite(max_seconds) && max_seconds > 0))
      fail(c, MRT_BAD_INPUT, "a loop of %g seconds: it must be above zero", max_seconds);
    most = floor(max_seconds * m->fps + 1e-6);
    if (most < longest) longest = (int32_t)most;
  }
  if (longest < fewest) {
    if (max_seconds == 0)
      fail(c, MRT_BAD_INPUT, "%d frames: a loop needs %.0f frames or more", frames, fewest + 1);
    fail(c, MRT_BAD_INPUT, "%g seconds: a loop needs %.0f frames or more", max_seconds, fewest + 1);
  }
  shortest = (int32_t)fewest;
  lags = longest - shortest + 1;
  poses = seen_poses(c, m, heading);
  costs = TEMP(c, double, frames);
  least = TEMP(c, double, lags);
  taken = TEMP(c, bool, frames > lags ? frames : lags);
  for (i = 0; i < lags; i++) {
    lag_costs(poses, frames, width, shortest + i, costs);
    least[i] = costs[0];
    for (k = 1; k < frames - shortest - i; k++)
      if (costs[k] < least[i]) least[i] = costs[k];
  }
  least_of_all = least[0];
  for (i = 1; i < lags; i++)
    if (least[i] < least_of_all) least_of_all = least[i];
  for (best = lags - 1; best > 0 && least[best] > least_of_all + alike;) best--;
  while (best > 0 && least[best - 1] < least[best]) best--; /* of one valley the deepest */
  chosen[0] = best;
  for (i = 0; i < lags; i++) /* other valleys only */
    taken[i] = i == best || (i > 0 && least[i] > least[i - 1]) ||
               (i + 1 < lags && least[i] > least[i + 1]);
  while (num_chosen < MOST_ROUNDS && (i = next_least(least, taken, lags)) >= 0) {
    taken[i] = true;
    chosen[num_chosen++] = i;
  }
  for (i = 0; i < num_chosen; i++) {
    int32_t lag = shortest + chosen[i], pairs = frames - lag, first, tried;
    lag_costs(poses, frames, width, lag, costs);
    memset(taken, 0, (size_t)pairs * sizeof *taken);
    for (tried = 0; tried < MOST_TRIED && (first = next_least(costs, taken, pairs)) >= 0; tried++) {
      taken[first] = true;
      if (costs[first] > least[chosen[i]] + 2 * alike) break;
      found[count].first = first;
      found[count++].last = first + lag;
    }
  }
  return count;
}

/* ---- The seam ---- */

/* How far two frames are from being one. Velocities are those before the last and after the first,
 * which is what is played; feet that strike the floor change theirs in one frame, and only what is
 * more than that is a jump. */
static seam measure(const mrt_motion *m, const double *heading, cycle at) {
  int32_t first = at.first, last = at.last, j, t;
  double position = 0, rotation = 0, velocity = 0;
  seam s;
  for (j = 0; j < m->skeleton->num_joints; j++) {
    double apart = vec_length(vec_sub(seen_joint(m, heading[last], last, j),
                                      seen_joint(m, heading[first], first, j)));
    mat3 turn = mat_mul(mat_transpose(seen_rotation(m, heading[first], first, j)),
                        seen_rotation(m, heading[last], last, j));
    double angle = vec_length(mat_to_rotation_vector(turn)), usual = 0, jump;
    vec3 ahead = vec_sub(motion_joint(m, first + 1, j), motion_joint(m, first, j));
    vec3 behind = vec_sub(motion_joint(m, last, j), motion_joint(m, last - 1, j));
    for (t = first + 1; t < last; t++) {
      vec3 twice = vec_scale(motion_joint(m, t, j), 2);
      double change = vec_length(
          vec_sub(vec_add(motion_joint(m, t - 1, j), motion_joint(m, t + 1, j)), twice));
      if (change > usual) usual = change;
    }
    jump = vec_length(vec_sub(seen_along(ahead, heading[first]), seen_along(behind, heading[last])));
    if (apart > position) position = apart;
    if (angle > rotation) rotation = angle;
    if (jump - usual > velocity) velocity = jump - usual;
  }
  s.position_mm = 1000 * position;
  s.rotation_deg = rotation * 180 / PI;
  s.velocity_mps = m->fps * velocity;
  return s;
}

/* A curve that is zero at its ends, with slope 1/2 in the first frame and -1/2 in the last, and dies
 * away within `ease` frames of either end: with it a velocity that is one too much at the last frame
 * becomes the same at both. */
static double bump_at(double time, double frames, double ease) {
  double near = time / ease, far = (frames - time) / ease;
  if (near > 1) near = 1;
  if (far > 1) far = 1;
  return 0.5 * ease * (near * (1 - near) * (1 - near) + far * (1 - far) * (1 - far));
}

/* Cut to a cycle and make its last frame the first again: what the two differ by is given to the
 * frames between. */
static mrt_motion *closed(call *c, const mrt_motion *m, const double *heading, cycle at) {
  int32_t first = at.first, last = at.last, frames = last - first, joints = m->skeleton->num_joints;
  int32_t t, j;
  mrt_motion *made = motion_new(c, m->skeleton, frames + 1, m->fps);
  vec3 *error = TEMP(c, vec3, joints), *twist = TEMP(c, vec3, joints);
  vec3 *before_first = TEMP(c, vec3, joints), start = motion_root(m, first), flows[2];
  flat *path = TEMP(c, flat, frames + 1), step;
  double *turned = TEMP(c, double, frames + 1), rates[2], turn, lift, gap_y;
  double ease = EASE_SECONDS * m->fps;
  flat gap;
  if (ease > frames / 2.0) ease = frames / 2.0;
  motion_inherit(c, made, m);
  spin(m, heading, last, twist);
  spin(m, heading, first, before_first);
  for (j = 0; j < joints; j++) {
    twist[j] = vec_sub(twist[j], before_first[j]);
    error[j] = mat_to_rotation_vector(
        mat_mul(mat_transpose(seen_rotation(m, heading[first], first, j)),
                seen_rotation(m, heading[last], last, j)));
  }
  lift = motion_root(m, last).y - start.y;
  flows[0] = seen_along(root_slope(m, first), heading[first]);
  flows[1] = seen_along(root_slope(m, last), heading[last]);
  rates[0] = heading_slope(heading, m->num_frames, first);
  rates[1] = heading_slope(heading, m->num_frames, last);
  for (t = 0; t <= frames; t++) {
    turned[t] = heading[first + t];
    path[t] = flat_of(motion_root(m, first + t));
  }
  turn = turned[frames] - turned[0];
  if (fabs(turn) < STRAIGHT_RAD) { /* the whole path is bent back */
    for (t = 1; t <= frames; t++) {
      double bent = -turn * ((t - 0.5) / frames);
      flat way = flat_sub(flat_of(motion_root(m, first + t)), flat_of(motion_root(m, first + t - 1)));
      path[t] = flat_add(path[t - 1], about_y(way, bent));
    }
    for (t = 0; t <= frames; t++) turned[t] -= turn * t / frames;
    rates[0] -= turn / frames;
    rates[1] -= turn / frames;
    turn = 0;
  }
  gap = flat_sub(flat_of(flows[1]), flat_of(flows[0]));
  gap_y = flows[1].y - flows[0].y;
  if (m->foot_contacts) motion_add_contacts(c, made, m->num_contacts);
  for (t = 0; t <= frames; t++) {
    double time = (double)t / frames, bump = bump_at(t, frames, ease);
    double ramp = 0.5 - time * time * (3 - 2 * time); /* from half the error to minus half of it */
    turned[t] += bump * (rates[1] - rates[0]);
    path[t] = flat_add(path[t], about_y(flat_scale(gap, bump), turned[t]));
    motion_set_root(made, t, vec(path[t].x,
                                 motion_root(m, first + t).y + ramp * lift + bump * gap_y,
                                 path[t].z));
    for (j = 0; j < joints; j++) {
      vec3 by = vec_add(vec_scale(error[j], ramp), vec_scale(twist[j], bump));
      mat3 local = mat_mul(seen_rotation(m, heading[first + t], first + t, j),
                           rotation_vector_to_mat(by));
      motion_set_local(made, t, j, j ? local : mat_mul(turn_about_y(turned[t]), local));
    }
    if (m->foot_contacts)
      memcpy(made->foot_contacts + (size_t)t * m->num_contacts,
             m->foot_contacts + (size_t)(first + t % frames) * m->num_contacts,
             (size_t)m->num_contacts);
  }
  step = about_y(flat_sub(path[frames], path[0]), -turned[0]);
  made->is_loop = true;
  made->loop_step[0] = step.x;
  made->loop_step[1] = step.z;
  made->loop_turn = turn;
  motion_complete(c, made);
  return made;
}

/* How far the closing moved a joint at most, as seen from the body, in millimetres. */
static double moved_mm(const mrt_motion *source, const double *heading, int32_t first,
                       const mrt_motion *loop, const double *loop_heading) {
  double most = 0;
  int32_t t, j;
  for (t = 0; t < loop->num_frames; t++)
    for (j = 0; j < loop->skeleton->num_joints; j++) {
      double way = vec_length(vec_sub(seen_joint(loop, loop_heading[t], t, j),
                                      seen_joint(source, heading[first + t], first + t, j)));
      if (way > most) most = way;
    }
  return 1000 * most;
}

mrt_motion *looped(call *c, const mrt_motion *m, double max_seconds, mrt_loop_info *info) {
  double *heading = headings(c, m), farthest = 1000 * MAX_SEAM_M * body_scale(m->skeleton);
  cycle cycles[MOST_ROUNDS * MOST_TRIED];
  int32_t count = find_cycles(c, m, heading, max_seconds, cycles), i;
  mrt_motion *best = NULL;
  for (i = 0; i < count; i++) {
    seam before = measure(m, heading, cycles[i]), after;
    cycle whole = {0, cycles[i].last - cycles[i].first};
    double *own;
    mrt_motion *loop;
    if (before.position_mm > farthest) {
      if (best) continue;
      fail(c, MRT_BAD_INPUT,
           "it comes back to no pose: frames %d and %d are nearest, and off by %.1f mm, %.1f "
           "degrees, %.2f m/s",
           cycles[i].first, cycles[i].last, before.position_mm, before.rotation_deg,
           before.velocity_mps);
    }
    loop = closed(c, m, heading, cycles[i]);
    own = headings(c, loop);
    after = measure(loop, own, whole);
    if (best && !(after.velocity_mps < info->after_velocity_mps)) {
      motion_drop(loop);
      continue;
    }
    if (best) motion_drop(best);
    best = loop;
    info->first_frame = cycles[i].first;
    info->last_frame = cycles[i].last;
    info->before_position_mm = before.position_mm;
    info->before_rotation_deg = before.rotation_deg;
    info->before_velocity_mps = before.velocity_mps;
    info->after_position_mm = after.position_mm;
    info->after_rotation_deg = after.rotation_deg;
    info->after_velocity_mps = after.velocity_mps;
    info->moved_mm = moved_mm(m, heading, cycles[i].first, loop, own);
    if (after.velocity_mps < NO_JUMP_MPS) break;
  }
  return best;
}
