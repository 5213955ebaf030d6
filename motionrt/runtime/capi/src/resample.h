/* Change a motion's frame rate, or its speed, along smooth curves. */
#ifndef MRT_RESAMPLE_H
#define MRT_RESAMPLE_H

#include "motion.h"

/* Another frame rate; the length from first to last frame stays. NULL if it is the motion's own. */
mrt_motion *resampled(call *c, const mrt_motion *motion, double fps);
/* The frames at moments (count), which count frames and rise. Second differences that lie further than
 * `reach` frames away are left out: a moment is settled as soon as what is near it is known. */
mrt_motion *resampled_near(call *c, const mrt_motion *motion, const double *moments, int32_t count,
                           int32_t reach, double fps);
/* So many times as fast at its own frame rate; a loop stays one. NULL if nothing changes. */
mrt_motion *at_speed(call *c, const mrt_motion *motion, double speed);

#endif
