/* Skeletons: joints, parents, rest positions, forward kinematics. */
#ifndef MRT_SKELETON_H
#define MRT_SKELETON_H

#include "json.h"
#include "rotation.h"

#define MAX_JOINTS 256
#define MAX_GROUP 64
#define NUM_GROUPS 5

typedef struct joint_group {
  int32_t count, joints[MAX_GROUP];
} joint_group;

/* Names of the groups that constraints hold, in the order of mrt_skeleton.groups. */
extern const char *const group_names[NUM_GROUPS];

struct mrt_skeleton {
  const char *name;
  int32_t num_joints;
  const char **joint_names;
  int32_t *parents;
  float *rest_positions, *offsets, *rest_rotations; /* (J, 3), (J, 3), (J, 4) */
  joint_group hips, left_foot, right_foot, left_hand, right_hand;
  joint_group groups[NUM_GROUPS];
  const char *expands_to; /* or NULL */
  const char *naming;     /* whose joint names it has, or NULL */
  bool has_bvh_rig, corrected, double_ankle, rolls_over_toes;
  double foot_clearance;
};

/* Read one that a manifest holds; MRT_BAD_BUNDLE if it is none. */
const mrt_skeleton *skeleton_parse(call *c, arena *from, const json *document, const char *place);
/* A copy in another arena. */
const mrt_skeleton *skeleton_copy(call *c, arena *to, const mrt_skeleton *skeleton);
/* Pose one frame: local rotations (J) and where the root goes; positions and rotations in the world,
 * both (J), either may be NULL. */
void forward_kinematics(const mrt_skeleton *skeleton, const mat3 *local, vec3 root, vec3 *positions,
                        mat3 *rotations);
/* Where a body faces by the line between its hips: 0 is +z, pi/2 is +x. */
double heading_of(const mrt_skeleton *skeleton, const vec3 *positions);

#endif
