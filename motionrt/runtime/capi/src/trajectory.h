/* Move a few frames of a trajectory where they must be and let the others follow smoothly. */
#ifndef MRT_TRAJECTORY_H
#define MRT_TRAJECTORY_H

#include "call.h"

/* Margins of a frame that may go anywhere and of one that must meet its target; above zero it must
 * come within that distance. */
#define FREE_FRAME -1.0
#define PINNED_FRAME 0.0

/* What a correction should keep of the reference: unitless, higher keeps more of it. */
typedef struct trajectory_weights {
  double position, velocity, acceleration;
} trajectory_weights;

/* Find the trajectory (N, columns) that meets the targets and keeps the reference's shape. Minimises
 * kp·|x - r|² + kv·|V(x - r)|² + ka·|A(x - r)|², V and A the first and second differences. */
void correct_trajectory(call *c, const double *reference, const double *targets,
                        const double *margins, int32_t count, int32_t columns,
                        trajectory_weights weights, double *result);
/* Replace each masked frame beside an unmasked one by the mean of its two neighbours, forward in
 * time, in place. */
void smooth_mask_edges(double *values, const bool *mask, int32_t count, int32_t columns);

#endif
