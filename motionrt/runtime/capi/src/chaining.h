/* Long prompts in parts that a model was trained on, one after another. */
#ifndef MRT_CHAINING_H
#define MRT_CHAINING_H

#include "constraints.h"

/* A longer prompt is refused: one motion is held in memory as a whole. */
#define MAX_CHAINED_SECONDS 600.0

/* How parts follow one another. */
typedef struct transitions {
  int32_t num_frames; /* that are held and blended over */
  const compat *compat;
  int32_t longest; /* frames that the model was trained on; 0: prompts stay whole */
  bool included;   /* longest counts the frames of a transition too */
} transitions;

/* The parts of all prompts, in order. */
typedef struct chain {
  int32_t num_parts;
  int32_t *num_frames; /* (num_parts) transitions not counted */
  int32_t *prompts;    /* (num_parts) which prompt each is of */
} chain;

/* The frames that a part repeats of num_previous before it. */
int32_t transition_frames(const transitions *how, int32_t num_previous);

/* Split prompts that are longer than the model was trained on into equal parts. With its transition
 * no part of a split prompt is longer than that, if there is a way. num_previous is the length of
 * the motion that is continued. */
chain chain_prompts(call *c, const transitions *how, const int32_t *num_frames, int32_t num_prompts,
                    int32_t num_previous);

/* Say where the root is at the ends of parts that another one of the same prompt follows, so that
 * each goes its share of the way: on the straight line between the places that constraints give
 * before and after. A part does not see the constraints of the next: the last one before a waypoint
 * would have to go all the way. `place` is where the motion begins, at frame `start`. */
constraints chain_waypoints(call *c, const chain *parts, constraints given, const compat *compat,
                            int32_t num_previous, int32_t start, const float place[2]);

#endif
