#include "trajectory.h"

#include <math.h>
#include <string.h>

#include "pentadiagonal.h"

#define NUM_MARGIN_ITERATIONS 100

typedef struct bands {
  double *diagonal, *first, *second;
} bands;

/* The diagonals of kp·I + kv·VᵀV + ka·AᵀA. */
static bands hessian(call *c, int32_t count, trajectory_weights w) {
  bands h;
  int32_t i;
  h.diagonal = TEMP(c, double, count);
  h.first = TEMP(c, double, count);
  h.second = TEMP(c, double, count);
  for (i = 0; i < count; i++) h.diagonal[i] = w.position;
  for (i = 0; i + 1 < count; i++) {
    h.diagonal[i] += w.velocity;
    h.diagonal[i + 1] += w.velocity;
    h.first[i] -= w.velocity;
  }
  for (i = 0; i + 2 < count; i++) {
    h.diagonal[i] += w.acceleration;
    h.diagonal[i + 1] += 4 * w.acceleration;
    h.diagonal[i + 2] += w.acceleration;
    h.first[i] -= 2 * w.acceleration;
    h.first[i + 1] -= 2 * w.acceleration;
    h.second[i] += w.acceleration;
  }
  return h;
}

static void multiply(bands h, const double *x, int32_t count, int32_t columns, double *result) {
  int32_t i, k;
  for (i = 0; i < count; i++)
    for (k = 0; k < columns; k++) {
      size_t at = (size_t)i * columns + k;
      double sum = h.diagonal[i] * x[at];
      if (i + 1 < count) sum += h.first[i] * x[at + columns];
      if (i > 0) sum += h.first[i - 1] * x[at - columns];
      if (i + 2 < count) sum += h.second[i] * x[at + 2 * columns];
      if (i > 1) sum += h.second[i - 2] * x[at - 2 * columns];
      result[at] = sum;
    }
}

/* Alternate between the trajectory and its projection into the balls around the targets (ADMM). */
static void meet_margins(call *c, const pentadiagonal *factor, const double *right,
                         const double *reference, const double *targets, const double *margins,
                         int32_t count, int32_t columns, double rho, double *x) {
  size_t size = (size_t)count * columns;
  double *z = TEMP(c, double, size), *u = TEMP(c, double, size);
  int32_t round, i, k;
  memcpy(z, reference, size * sizeof *z);
  for (round = 0; round < NUM_MARGIN_ITERATIONS; round++) {
    memcpy(x, right, size * sizeof *x);
    for (i = 0; i < count; i++)
      if (margins[i] > 0)
        for (k = 0; k < columns; k++) {
          size_t at = (size_t)i * columns + k;
          x[at] += rho * (z[at] - u[at]);
        }
    pentadiagonal_solve(factor, x, columns);
    for (i = 0; i < count; i++) {
      double distance = 0, scale;
      if (margins[i] <= 0) continue;
      for (k = 0; k < columns; k++) {
        size_t at = (size_t)i * columns + k;
        double away = x[at] + u[at] - targets[at];
        distance += away * away;
      }
      distance = sqrt(distance);
      scale = distance > margins[i] ? margins[i] / fmax(distance, 1e-30) : 1;
      for (k = 0; k < columns; k++) {
        size_t at = (size_t)i * columns + k;
        z[at] = targets[at] + (x[at] + u[at] - targets[at]) * scale;
        u[at] += x[at] - z[at];
      }
    }
  }
}

void correct_trajectory(call *c, const double *reference, const double *targets,
                        const double *margins, int32_t count, int32_t columns,
                        trajectory_weights weights, double *result) {
  size_t size = (size_t)count * columns;
  bool pinned = false, bounded = false;
  double *shifted, *right, largest = 0, rho;
  pentadiagonal factor;
  bands h;
  int32_t i, k;
  for (i = 0; i < count; i++) {
    if (margins[i] == 0) pinned = true;
    if (margins[i] > 0) bounded = true;
  }
  if (!pinned && !bounded) {
    memmove(result, reference, size * sizeof *result);
    return;
  }
  h = hessian(c, count, weights);
  /* H·(r - o on pinned rows); a pinned row becomes x = o, and its column leaves the others. */
  shifted = TEMP(c, double, size);
  right = TEMP(c, double, size);
  for (i = 0; i < count; i++)
    for (k = 0; k < columns; k++) {
      size_t at = (size_t)i * columns + k;
      shifted[at] = reference[at] - (margins[i] == 0 ? targets[at] : 0);
    }
  multiply(h, shifted, count, columns, right);
  for (i = 0; i < count; i++)
    if (h.diagonal[i] > largest) largest = h.diagonal[i];
  for (i = 0; i < count; i++) {
    bool fixed = margins[i] == 0;
    if (fixed)
      memcpy(right + (size_t)i * columns, targets + (size_t)i * columns,
             (size_t)columns * sizeof *right);
    if (fixed) h.diagonal[i] = 1;
    if (i + 1 < count && (fixed || margins[i + 1] == 0)) h.first[i] = 0;
    if (i + 2 < count && (fixed || margins[i + 2] == 0)) h.second[i] = 0;
  }
  if (!bounded) {
    factor = pentadiagonal_factor(c, &c->memory, count, h.diagonal, h.first, h.second);
    memcpy(result, right, size * sizeof *result);
    pentadiagonal_solve(&factor, result, columns);
    return;
  }
  rho = 0.5 * sqrt(largest);
  for (i = 0; i < count; i++)
    if (margins[i] > 0) h.diagonal[i] += rho;
  factor = pentadiagonal_factor(c, &c->memory, count, h.diagonal, h.first, h.second);
  if (result == reference) { /* it is read while the result is written */
    double *copy = TEMP(c, double, size);
    memcpy(copy, reference, size * sizeof *copy);
    reference = copy;
  }
  meet_margins(c, &factor, right, reference, targets, margins, count, columns, rho, result);
}

void smooth_mask_edges(double *values, const bool *mask, int32_t count, int32_t columns) {
  int32_t i, k;
  for (i = 0; i < count; i++) {
    int32_t before = i > 0 ? i - 1 : 0, after = i + 1 < count ? i + 1 : count - 1;
    if (!mask[i] || (mask[before] && mask[after])) continue;
    for (k = 0; k < columns; k++)
      values[(size_t)i * columns + k] = 0.5 * (values[(size_t)before * columns + k] +
                                               values[(size_t)after * columns + k]);
  }
}
