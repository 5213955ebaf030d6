/* Constraints: where the root, a body, a hand or a foot shall be at some frames. */
#ifndef MRT_CONSTRAINTS_H
#define MRT_CONSTRAINTS_H

#include "compat.h"
#include "motion_features.h"

#define NUM_KINDS 7
/* Kinds as constraint files name them. */
extern const char *const kind_names[NUM_KINDS];

typedef struct constraint {
  mrt_constraint_kind kind;
  int32_t num_frames;  /* K */
  int32_t *frames;     /* (K) */
  float *smooth_root;  /* (K, columns), or NULL: x and z of the root */
  int32_t columns;     /* 2, or 3 with the height */
  float *heading;      /* (K, 2) cosine and sine, or NULL */
  int32_t num_joints;  /* J */
  mat3 *local;         /* (K, J), or NULL for a path */
  vec3 *root;          /* (K), or NULL for a path */
  int32_t num_groups, groups[NUM_GROUPS + 1]; /* indices of group_names; 0: all joints */
} constraint;

typedef struct constraints {
  constraint *items;
  size_t count;
} constraints;

/* Parse a constraint file's content; MRT_BAD_INPUT names the first problem. */
constraints constraints_parse(call *c, const char *text, size_t length, const char *place,
                              const mrt_skeleton *skeleton);
/* The same of a document that is parsed. */
constraints constraints_read(call *c, const json *document, const char *place,
                             const mrt_skeleton *skeleton);
/* Take those that a program gave as arrays. */
constraints constraints_take(call *c, const mrt_constraint *given, int32_t count,
                             const mrt_skeleton *skeleton);
constraints constraints_join(call *c, constraints first, constraints second);
/* Those with frames from start to stop (excluded), counted from start. */
constraints constraints_crop(call *c, constraints given, int32_t start, int32_t stop);
/* x and z of the smoothed root at the k-th of its frames. */
void constraint_ground(const constraint *item, int32_t k, const compat *compat, float xz[2]);
/* Move every frame. */
void constraints_shift(constraints given, int32_t by);
/* MRT_BAD_INPUT for the first frame that lies beyond a clip. */
void constraints_check(call *c, constraints given, int32_t num_frames);

/* MRT_BAD_INPUT for hands or feet that are held without the hips, which ARDY does not take. */
void constraints_need_hips(call *c, constraints given);

/* Write the observed motion, not normalised, and its mask (1 where a feature is given), both (T, D)
 * of zeros. Where constraints overlap, the last one counts. */
void constraints_fill(call *c, constraints given, const motion_features *features,
                      int32_t num_frames, const compat *compat, float *observed, float *mask);

/* What constraints ask of motion correction. */
enum { MASK_FULL_BODY, MASK_LEFT_HAND, MASK_RIGHT_HAND, MASK_LEFT_FOOT, MASK_RIGHT_FOOT, MASK_ROOT,
       NUM_MASKS };

typedef struct correction_targets {
  double *root;  /* (T, 3) */
  mat3 *local;   /* (T, J) */
  bool *masks[NUM_MASKS]; /* (T) each */
} correction_targets;

correction_targets constraints_targets(call *c, constraints given, const mrt_skeleton *skeleton,
                                       int32_t num_frames, const compat *compat);

#endif
