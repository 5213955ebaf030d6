/* Loops: cut a motion where it comes back to a pose, and close the seam. */
#ifndef MRT_LOOP_CUT_H
#define MRT_LOOP_CUT_H

#include "motion.h"

/* Cut a motion to its best cycle, of max_seconds at most (0: any), and close it; info is filled. */
mrt_motion *looped(call *c, const mrt_motion *motion, double max_seconds, mrt_loop_info *info);

#endif
