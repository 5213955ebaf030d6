#include "stature.h"

#include <string.h>

#define HUMAN_M 1.71
#define LEG 0.49         /* thigh and shin of a human by the height: Drillis and Contini, 1966 */
#define JOINTS_SPAN 0.895 /* from the lowest to the highest joint, by the height */

/* Thigh, shin and foot of the left and the right leg, by whose names they are. */
static const struct {
  const char *naming, *joints[2][3];
} legs[] = {
    {"soma", {{"LeftLeg", "LeftShin", "LeftFoot"}, {"RightLeg", "RightShin", "RightFoot"}}},
    {"smplx", {{"left_hip", "left_knee", "left_ankle"}, {"right_hip", "right_knee", "right_ankle"}}},
    {"cmu", {{"LeftUpLeg", "LeftLeg", "LeftFoot"}, {"RightUpLeg", "RightLeg", "RightFoot"}}},
    {"core", {{"LeftUpLeg", "LeftLeg", "LeftFoot"}, {"RightUpLeg", "RightLeg", "RightFoot"}}},
    {"myo", {{"femur_l", "tibia_l", "foot_l"}, {"femur_r", "tibia_r", "foot_r"}}},
};

/* The length from a leg's thigh to its foot, with the joints between; 0 if it has none. */
static double leg_length(const mrt_skeleton *s, const char *const *names) {
  int32_t thigh = mrt_skeleton_find_joint(s, names[0]);
  int32_t joint = mrt_skeleton_find_joint(s, names[2]);
  double length = 0;
  if (thigh < 0 || joint < 0 || mrt_skeleton_find_joint(s, names[1]) < 0) return 0;
  for (; joint > thigh; joint = s->parents[joint])
    length += vec_length(vec_load(s->offsets + 3 * joint));
  return joint == thigh ? length : 0;
}

static double standing_height(const mrt_skeleton *s) {
  double total = 0;
  size_t i;
  int side, count = 0;
  for (i = 0; s->naming && i < sizeof legs / sizeof *legs; i++) {
    if (strcmp(legs[i].naming, s->naming)) continue;
    for (side = 0; side < 2; side++) {
      double length = leg_length(s, legs[i].joints[side]);
      if (length > 0) total += length, count++;
    }
  }
  return count ? total / count / LEG : 0;
}

double body_scale(const mrt_skeleton *s) {
  double height = standing_height(s);
  int32_t j, i;
  if (!(height > 0)) {
    for (i = 0; i < 3; i++) {
      double least = s->rest_positions[i], most = least;
      for (j = 1; j < s->num_joints; j++) {
        double at = s->rest_positions[3 * j + i];
        if (at < least) least = at;
        if (at > most) most = at;
      }
      if (most - least > height) height = most - least;
    }
    height /= JOINTS_SPAN;
  }
  return height > 0 ? height / HUMAN_M : 1;
}
