/* How large a body is. */
#ifndef MRT_STATURE_H
#define MRT_STATURE_H

#include "skeleton.h"

/* Against a human of 1.71 m, by its legs, or by its rest pose where their joints are not known; 1 for
 * what has no size. */
double body_scale(const mrt_skeleton *skeleton);

#endif
