/* Kimodo's root smoother: the smoothest path that stays within 6 cm of the given one. */
#ifndef MRT_ROOT_SMOOTHER_H
#define MRT_ROOT_SMOOTHER_H

#include "call.h"

/* Smooth x and z of root positions (T, 3) into result (T, 3); y stays. Paths of fewer than five
 * frames stay as they are; the result is shifted by half a frame, as Kimodo's is. */
void smooth_root(call *c, const float *root, int32_t num_frames, float *result);

#endif
