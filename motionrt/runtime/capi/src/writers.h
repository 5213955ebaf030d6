/* Motions as files' bytes: BVH text and binary glTF. */
#ifndef MRT_WRITERS_H
#define MRT_WRITERS_H

#include "root_path.h"

/* How a file is wanted. */
typedef struct wishes {
  const root_path *bone; /* what a bone on the floor goes; NULL: there is none */
  float bvh_scale;       /* units per metre */
  bool bvh_turned;       /* the axes of a BVH are others than ours */
  mat3 bvh_axes;         /* what brings directions of ours to them */
} wishes;

void write_bvh(call *c, const mrt_motion *motion, const wishes *wanted, buffer *out);
void write_glb(call *c, const mrt_motion *motion, const wishes *wanted, buffer *out);

/* A text with JSON's quotes and escapes. */
void add_text(call *c, buffer *out, const char *text);
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
