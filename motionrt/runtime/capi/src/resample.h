/* Change a motion's frame rate, or its speed, along smooth curves. */
#ifndef MRT_RESAMPLE_H
#define MRT_RESAMPLE_H

#include "motion.h"

/* Another frame rate; the length from first to last frame stays. NULL if it is the motion's own. */
mrt_motion *resampled(call *c, const mrt_motion *motion, double fps);
/* So many times as fast at its own frame rate; a loop stays one. NULL if nothing changes. */
mrt_motion *at_speed(call *c, const mrt_motion *motion, double speed);

#endif
