#include "chaining.h"

#include <stdlib.h>
#include <string.h>

int32_t transition_frames(const transitions *how, int32_t num_previous) {
  return how->num_frames + (int32_t)(num_previous * how->compat->replayed_part);
}

/* The first frame of part `index` of `count` equal ones: they differ by one frame at most. */
static int32_t edge(int32_t num_frames, int32_t count, int32_t index) {
  return (int32_t)((int64_t)num_frames * index / count);
}

/* Whether no part is longer than is trained, with its transition. */
static bool all_fit(const transitions *how, int32_t num_frames, int32_t count, int32_t before) {
  int32_t i;
  for (i = 0; i < count; i++) {
    int32_t own = edge(num_frames, count, i + 1) - edge(num_frames, count, i);
    if (own + (before ? transition_frames(how, before) : 0) > how->longest) return false;
    before = own;
  }
  return true;
}

/* How many parts one prompt is made of. */
static int32_t count_parts(const transitions *how, int32_t num_frames, int32_t before) {
  int32_t fewest = (num_frames - 1) / how->longest + 1, count;
  for (count = fewest; count <= num_frames; count++) {
    int32_t least = num_frames / count; /* the first part has no more */
    /* Parts have become shorter than their transitions: there is no way. */
    if (before && transition_frames(how, before) > before) break;
    if (count > 1 && transition_frames(how, least) > least) break;
    if (all_fit(how, num_frames, count, before)) return count;
  }
  return fewest;
}

chain chain_prompts(call *c, const transitions *how, const int32_t *num_frames, int32_t num_prompts,
                    int32_t num_previous) {
  int32_t *counts = TEMP(c, int32_t, num_prompts), before = num_previous, i, part;
  chain made = {0};
  for (i = 0; i < num_prompts; i++) {
    int32_t counted = num_frames[i];
    if (how->included && before) counted += transition_frames(how, before);
    counts[i] = 1;
    if (how->longest && counted > how->longest)
      counts[i] = count_parts(how, num_frames[i], before);
    before = num_frames[i] - edge(num_frames[i], counts[i], counts[i] - 1);
    if (counts[i] > INT32_MAX - made.num_parts) fail(c, MRT_BAD_INPUT, "too many frames in all");
    made.num_parts += counts[i];
  }
  made.num_frames = TEMP(c, int32_t, made.num_parts);
  made.prompts = TEMP(c, int32_t, made.num_parts);
  for (i = 0, part = 0; i < num_prompts; i++) {
    int32_t index;
    for (index = 0; index < counts[i]; index++, part++) {
      made.prompts[part] = i;
      made.num_frames[part] =
          edge(num_frames[i], counts[i], index + 1) - edge(num_frames[i], counts[i], index);
    }
  }
  return made;
}

/* ---- The way that parts share ---- */

typedef struct waypoint {
  int32_t frame;
  size_t order; /* of what is said twice the last counts */
  float xz[2];
} waypoint;

static int by_frame(const void *one, const void *other) {
  const waypoint *a = one, *b = other;
  if (a->frame != b->frame) return a->frame < b->frame ? -1 : 1;
  return a->order < b->order ? -1 : a->order > b->order;
}

/* The places that are known, by frame; the result is their number. */
static size_t known_places(call *c, constraints given, const compat *compat, int32_t start,
                           const float place[2], waypoint **known) {
  size_t count = 1, n, kept = 0, at = 0;
  int32_t k;
  for (n = 0; n < given.count; n++) count += (size_t)given.items[n].num_frames;
  *known = TEMP(c, waypoint, count);
  (*known)[at].frame = start;
  memcpy((*known)[at++].xz, place, 2 * sizeof(float));
  for (n = 0; n < given.count; n++)
    for (k = 0; k < given.items[n].num_frames; k++, at++) {
      (*known)[at].frame = given.items[n].frames[k];
      (*known)[at].order = at;
      constraint_ground(&given.items[n], k, compat, (*known)[at].xz);
    }
  qsort(*known, count, sizeof **known, by_frame);
  for (n = 0; n < count; n++)
    if (n + 1 == count || (*known)[n + 1].frame != (*known)[n].frame) (*known)[kept++] = (*known)[n];
  return kept;
}

constraints chain_waypoints(call *c, const chain *parts, constraints given, const compat *compat,
                            int32_t num_previous, int32_t start, const float place[2]) {
  constraints none = {NULL, 0}, held = {TEMP(c, constraint, 1), 1};
  constraint *path = held.items;
  waypoint *known;
  size_t count, at = 0;
  int32_t part, end = num_previous, axis;
  if (!given.count) return none;
  count = known_places(c, given, compat, start, place, &known);
  path->kind = MRT_ROOT_PATH;
  path->columns = 2;
  path->frames = TEMP(c, int32_t, parts->num_parts);
  path->smooth_root = TEMP(c, float, 2 * (size_t)parts->num_parts);
  for (part = 0; part + 1 < parts->num_parts; part++) {
    int32_t frame = (end += parts->num_frames[part]) - 1;
    if (parts->prompts[part] != parts->prompts[part + 1]) continue;
    while (at < count && known[at].frame < frame) at++;
    if (!at || at == count || known[at].frame == frame) continue; /* free there, or said already */
    for (axis = 0; axis < 2; axis++) {
      const waypoint *from = &known[at - 1], *to = &known[at];
      double slope =
          ((double)to->xz[axis] - from->xz[axis]) / ((double)to->frame - from->frame);
      path->smooth_root[2 * path->num_frames + axis] =
          (float)(slope * ((double)frame - from->frame) + from->xz[axis]);
    }
    path->frames[path->num_frames++] = frame;
  }
  return path->num_frames ? held : none;
}
