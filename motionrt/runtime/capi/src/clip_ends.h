/* The ends of a clip: cut where the body stands, or led in from the rest pose and out to it. */
#ifndef MRT_CLIP_ENDS_H
#define MRT_CLIP_ENDS_H

#include "motion.h"

/* Cut the ends off that are mid-stride: it starts and ends with a foot that comes down. */
mrt_motion *trimmed(call *c, const mrt_motion *motion);
/* Add frames behind it in which the body comes to rest in the rest pose, below its root. */
mrt_motion *to_rest(call *c, const mrt_motion *motion, double seconds);
/* Add frames in front in which the body comes to move. */
mrt_motion *from_rest(call *c, const mrt_motion *motion, double seconds);

#endif
