/* Join two motions: where their poses are alike, one fades into the other. */
#ifndef MRT_BLEND_H
#define MRT_BLEND_H

#include "motion.h"

/* The second goes on where the first is, facing as it does; it is brought to the first's rate. */
mrt_motion *blended(call *c, const mrt_motion *first, const mrt_motion *second, double seconds);

#endif
