/* Motion correction: meet constraints exactly, keep standing feet where they stand. */
#ifndef MRT_CORRECTION_H
#define MRT_CORRECTION_H

#include "constraints.h"

#define DEFAULT_ROOT_MARGIN_M 0.04

/* Correct one clip in place: local rotations (T, J) and root positions (T). contacts are (T, 4): left
 * ankle, left toe, right ankle, right toe. MRT_BAD_INPUT if the skeleton does not name its hands and
 * feet. */
void correct_motion(call *c, const mrt_skeleton *skeleton, mat3 *local, vec3 *root,
                    const bool *contacts, int32_t num_frames, const correction_targets *targets,
                    double root_margin);

#endif
