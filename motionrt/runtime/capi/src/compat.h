/* Which revision of Kimodo a run follows where revisions differ; ARDY has rules of its own. */
#ifndef MRT_COMPAT_H
#define MRT_COMPAT_H

#include <stdbool.h>

typedef struct compat {
  const char *name;
  double replayed_part;    /* share of the part before that a transition replays */
  bool transition_limbs;   /* a transition holds the rotations of hands and feet */
  bool correct_segments;   /* correction runs on each part as it is made */
  bool exact_full_bodies;  /* correction brings full bodies to their exact root */
  bool root_takes_height;  /* of a smoothed root with three columns the first two are taken */
  bool toe_end_contacts;   /* SOMA's 77 joints have six contacts */
  bool poses_keep_roots;   /* correction brings the root to that of a pose, whatever is smoothed */
} compat;

/* What ARDY's network sees of constraints, and what its correction meets. */
extern const compat ardy_conditions, ardy_targets;

/* "2026-03" or "latest"; NULL for an unknown name. */
const compat *find_compat(const char *name);

#endif
