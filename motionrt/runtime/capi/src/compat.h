/* Which revision of Kimodo a run follows where revisions differ. */
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
} compat;

/* "2026-03" or "latest"; NULL for an unknown name. */
const compat *find_compat(const char *name);

#endif
