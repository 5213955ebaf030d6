/* Noise schedules and solvers as tables: one row a denoising step. */
#ifndef MRT_SCHEDULE_H
#define MRT_SCHEDULE_H

#include "call.h"

typedef struct schedule {
  int32_t num_steps;
  int64_t *timesteps;  /* (N) of the base schedule, falling */
  float *coefficients; /* (N, 3): x' = a x + b x0 + c x0_previous */
} schedule;

/* Steps on the cosine schedule by a solver ("ddim", "dpmpp-2m"); MRT_BAD_INPUT if it is unknown or
 * the number of steps is not from 1 to num_base_steps. */
schedule cosine_schedule(call *c, arena *from, int32_t num_base_steps, int32_t num_steps,
                         const char *solver);

#endif
