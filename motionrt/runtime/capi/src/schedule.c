#include "schedule.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
/* Where steps even in the log of signal over noise begin: signal is 1 % of the noise's size. */
#define LOWEST_HALF_LOG_SNR -4.5

/* The share of signal variance left after each base step. Source: Nichol 2021, arXiv:2102.09672,
 * equation 17, each variance at most 0.999. */
static float *alphas_cumprod(call *c, int32_t num_base_steps) {
  float *result = TEMP(c, float, num_base_steps);
  double before = 1, product = 1;
  int32_t i;
  for (i = 0; i <= num_base_steps; i++) {
    double edge = (double)i / num_base_steps, root = cos((edge + 0.008) / 1.008 * PI / 2);
    double signal = root * root, beta;
    if (i) {
      beta = 1 - signal / before;
      product *= (double)(1.0f - (float)(beta < 0.999 ? beta : 0.999));
      result[i - 1] = (float)product;
    }
    before = signal;
  }
  return result;
}

/* Whole numbers to the even one at halves, as numpy does. */
static double round_even(double x) { return nearbyint(x); }

void respaced_timesteps(int64_t *steps, int32_t num_base_steps, int32_t num_steps) {
  float stride = (float)((double)(num_base_steps - 1) / (num_steps > 1 ? num_steps - 1 : 1));
  int32_t i;
  for (i = 0; i < num_steps; i++) {
    int64_t step = (int64_t)round_even((double)((float)i * stride));
    steps[i] = step < num_base_steps - 1 ? step : num_base_steps - 1;
  }
}

static double half_log_snr(double signal) { return 0.5 * (log(signal) - log1p(-signal)); }

/* count base steps, rising, evenly spaced in the log of signal over noise. */
void spaced_in_log_snr(call *c, const double *alphas, int32_t num_base_steps, int64_t *steps,
                              int32_t count) {
  double *snr = TEMP(c, double, num_base_steps), lowest, first;
  int64_t highest = INT64_MIN;
  int32_t i, at = 0;
  for (i = 0; i < num_base_steps; i++) snr[i] = half_log_snr(alphas[i]);
  first = snr[0];
  lowest = snr[num_base_steps - 1] > LOWEST_HALF_LOG_SNR ? snr[num_base_steps - 1]
                                                         : LOWEST_HALF_LOG_SNR;
  for (i = 0; i < count; i++) {
    double wanted = count > 1 ? first + (lowest - first) / (count - 1) * i : first, found;
    if (i == count - 1 && count > 1) wanted = lowest;
    /* snr falls: find the two base steps around it */
    while (at < num_base_steps - 2 && snr[at + 1] > wanted) at++;
    if (wanted >= snr[0])
      found = 0;
    else if (wanted <= snr[num_base_steps - 1])
      found = num_base_steps - 1;
    else
      found = at + (snr[at] - wanted) / (snr[at] - snr[at + 1]);
    steps[i] = (int64_t)round_even(found);
  }
  /* Near the clean end base steps are far apart in log-SNR: no step is taken twice. */
  for (i = 0; i < count; i++) {
    if (steps[i] - i > highest) highest = steps[i] - i;
    steps[i] = highest + i;
    if (steps[i] > num_base_steps - count + i) steps[i] = num_base_steps - count + i;
  }
}

static void log_snr_timesteps(call *c, const float *alphas, int64_t *steps, int32_t num_base_steps,
                              int32_t num_steps) {
  double *shares = TEMP(c, double, num_base_steps);
  int32_t i;
  for (i = 0; i < num_base_steps; i++) shares[i] = alphas[i];
  if (num_steps < 3 || num_steps >= num_base_steps) {
    spaced_in_log_snr(c, shares, num_base_steps, steps, num_steps);
    return;
  }
  spaced_in_log_snr(c, shares, num_base_steps - 1, steps, num_steps - 1);
  steps[num_steps - 1] = num_base_steps - 1;
}

/* Signal shares at the chosen steps, by way of respaced variances. */
static void respaced(const float *base, const int64_t *steps, float *alphas, int32_t count) {
  double product = 1;
  float before = 1;
  int32_t i;
  for (i = 0; i < count; i++) {
    float beta = 1.0f - base[steps[i]] / before;
    product *= (double)(1.0f - beta);
    alphas[i] = (float)product > 1e-9f ? (float)product : 1e-9f;
    before = base[steps[i]];
  }
}

/* Source: Song 2021, arXiv:2010.02502, equation 12 with eta 0, and x0 as the prediction. */
static void ddim_row(double signal, double before, double *row) {
  row[0] = sqrt((1 - before) / (1 - signal));
  row[1] = sqrt(before) - row[0] * sqrt(signal);
  row[2] = 0;
}

/* Source: Lu 2022, arXiv:2211.01095, algorithm 2, in the data-prediction form. Rows rise; sampling
 * runs from the last to the first, and both of these are of first order. */
static void dpmpp_rows(const float *alphas, int32_t count, double *rows) {
  int32_t i;
  double step_after = 0; /* of row i + 1 */
  for (i = count - 1; i >= 0; i--) {
    double signal = alphas[i], before = i ? (double)alphas[i - 1] : 1.0, *row = rows + 3 * i;
    double next = before < 1 ? half_log_snr(before) : HUGE_VAL;
    double step = next - half_log_snr(signal);
    row[0] = sqrt((1 - before) / (1 - signal));
    row[1] = -sqrt(before) * expm1(-step);
    row[2] = 0;
    if (i > 0 && i < count - 1) {
      double half_over_r = 0.5 * step / step_after;
      row[2] = -row[1] * half_over_r;
      row[1] *= 1 + half_over_r;
    }
    step_after = step;
  }
}

bool solver_rows(const char *solver, const float *alphas, int32_t count, double *rows) {
  int32_t i;
  if (!strcmp(solver, "dpmpp-2m")) {
    dpmpp_rows(alphas, count, rows);
    return true;
  }
  if (strcmp(solver, "ddim")) return false;
  for (i = 0; i < count; i++) ddim_row(alphas[i], i ? (double)alphas[i - 1] : 1, rows + 3 * i);
  return true;
}

schedule cosine_schedule(call *c, arena *from, int32_t num_base_steps, int32_t num_steps,
                         const char *solver) {
  schedule result;
  float *base, *alphas;
  int64_t *steps;
  double *rows;
  int32_t i;
  bool second_order = !strcmp(solver, "dpmpp-2m");
  if (num_steps < 1 || num_steps > num_base_steps)
    fail(c, MRT_BAD_INPUT, "%d diffusion steps: must be from 1 to %d", num_steps, num_base_steps);
  if (!second_order && strcmp(solver, "ddim"))
    fail(c, MRT_BAD_INPUT, "solver \"%s\" is unknown; choose ddim or dpmpp-2m", solver);
  base = alphas_cumprod(c, num_base_steps);
  steps = TEMP(c, int64_t, num_steps);
  alphas = TEMP(c, float, num_steps);
  rows = TEMP(c, double, 3 * num_steps);
  if (second_order)
    log_snr_timesteps(c, base, steps, num_base_steps, num_steps);
  else
    respaced_timesteps(steps, num_base_steps, num_steps);
  respaced(base, steps, alphas, num_steps);
  solver_rows(solver, alphas, num_steps, rows);
  result.num_steps = num_steps;
  result.timesteps = TAKE(c, from, int64_t, num_steps);
  result.coefficients = TAKE(c, from, float, 3 * num_steps);
  for (i = 0; i < 3 * num_steps; i++) {
    int32_t row = num_steps - 1 - i / 3;
    result.coefficients[i] = (float)rows[3 * row + i % 3];
    result.timesteps[i / 3] = steps[row];
  }
  return result;
}
