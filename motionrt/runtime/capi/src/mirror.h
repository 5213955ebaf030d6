/* Mirror a motion: what the left did, the right does. */
#ifndef MRT_MIRROR_H
#define MRT_MIRROR_H

#include "motion.h"

/* At the plane x = 0. The rest pose has to be the same on both sides. */
mrt_motion *mirrored(call *c, const mrt_motion *motion);

#endif
