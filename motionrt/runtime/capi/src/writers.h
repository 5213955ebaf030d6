/* Motions as files' bytes: BVH text and binary glTF. */
#ifndef MRT_WRITERS_H
#define MRT_WRITERS_H

#include "motion.h"

void write_bvh(call *c, const mrt_motion *motion, buffer *out);
void write_glb(call *c, const mrt_motion *motion, buffer *out);

/* A number as text, whatever the locale: with nine significant digits. */
void add_number(call *c, buffer *out, double value);
/* The children of each joint, in order: first[j] to first[j + 1] of `joints`. */
typedef struct children {
  int32_t *first, *joints;
} children;
children find_children(call *c, const mrt_skeleton *skeleton);
/* Where the bone of a joint without children ends: half the bone before it further, level for a
 * toe. */
vec3 tip_offset(const mrt_skeleton *skeleton, int32_t joint);

#endif
