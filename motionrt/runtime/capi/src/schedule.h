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

/* The parts of it, for families with schedules of their own. Steps rise: evenly spaced over the base
 * schedule; evenly spaced in the log of signal over noise, by the signal shares of all base steps. */
void respaced_timesteps(int64_t *steps, int32_t num_base_steps, int32_t num_steps);
void spaced_in_log_snr(call *c, const double *alphas, int32_t num_base_steps, int64_t *steps,
                       int32_t count);
/* A solver's rows (N, 3) for rising signal shares (N); false for an unknown one. */
bool solver_rows(const char *solver, const float *alphas, int32_t count, double *rows);

#endif
