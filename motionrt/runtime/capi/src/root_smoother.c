#include "root_smoother.h"

#include <math.h>
#include <string.h>

#include "pentadiagonal.h"

#define MARGIN_M 0.06f
#define OVER_RELAXATION 1.8f
#define NUM_ITERATIONS 500
#define MIN_FRAMES 5

/* Factor (M + ρI), M being the second differences' normal matrix; returns ρ. */
static double make_solver(call *c, int32_t count, pentadiagonal *solver) {
  double *diagonal = TEMP(c, double, count), *first = TEMP(c, double, count);
  double *second = TEMP(c, double, count), largest = 0, rho;
  int32_t i;
  for (i = 0; i + 2 < count; i++) { /* a row (-1, 2, -1) of differences */
    diagonal[i] += 1, diagonal[i + 1] += 4, diagonal[i + 2] += 1;
    first[i] -= 2, first[i + 1] -= 2;
    second[i] += 1;
  }
  for (i = 0; i < count; i++)
    if (diagonal[i] > largest) largest = diagonal[i];
  rho = 0.25 * sqrt(largest);
  for (i = 0; i < count; i++) diagonal[i] += rho;
  *solver = pentadiagonal_factor(c, &c->memory, count, diagonal, first, second);
  return rho;
}

/* One level: solution and target are (count, 2); the solution is refined in place. Iterates are kept
 * in single precision, as upstream keeps them. */
static void iterate(call *c, const float *target, float *y, int32_t count) {
  size_t size = (size_t)count * 2, i;
  float *u = TEMP(c, float, size), *z = TEMP(c, float, size);
  double *right = TEMP(c, double, size), rho;
  pentadiagonal solver;
  int round;
  rho = make_solver(c, count, &solver);
  for (round = 0; round < NUM_ITERATIONS; round++) {
    for (i = 0; i < size; i += 2) {
      float dx = y[i] + u[i] - target[i], dz = y[i + 1] + u[i + 1] - target[i + 1];
      float length = sqrtf(dx * dx + dz * dz);
      float scale = MARGIN_M / (length > MARGIN_M ? length : MARGIN_M);
      z[i] = dx * scale + target[i];
      z[i + 1] = dz * scale + target[i + 1];
    }
    for (i = 0; i < size; i++) {
      u[i] += OVER_RELAXATION * (y[i] - z[i]);
      right[i] = rho * (double)(z[i] - u[i]);
    }
    pentadiagonal_solve(&solver, right, 2);
    for (i = 0; i < size; i++) y[i] = (float)right[i];
  }
}

void smooth_root(call *c, const float *root, int32_t num_frames, float *result) {
  float *path, *solution, *coarse_path, *coarse, mean[2] = {0, 0};
  double sum[2] = {0, 0};
  int32_t i, k, step, level = 0;
  memmove(result, root, (size_t)num_frames * 3 * sizeof(float));
  if (num_frames < MIN_FRAMES) return;
  path = TEMP(c, float, 2 * num_frames);
  solution = TEMP(c, float, 2 * num_frames);
  coarse_path = TEMP(c, float, 2 * num_frames);
  coarse = TEMP(c, float, 2 * num_frames);
  for (i = 0; i < num_frames; i++)
    for (k = 0; k < 2; k++) {
      path[2 * i + k] = root[3 * i + 2 * k];
      sum[k] += path[2 * i + k];
    }
  for (k = 0; k < 2; k++) mean[k] = (float)(sum[k] / num_frames);
  for (i = 0; i < num_frames; i++)
    for (k = 0; k < 2; k++) solution[2 * i + k] = mean[k];
  while (num_frames >> (level + 1)) level++; /* the floor of the binary logarithm */
  step = 1 << (level - 4 > 1 ? level - 4 : 1);
  for (;;) {
    int32_t half = step / 2, count = (num_frames + step - 1) / step, num_between;
    for (i = 0; i < count; i++)
      for (k = 0; k < 2; k++) {
        coarse_path[2 * i + k] = path[2 * i * step + k];
        coarse[2 * i + k] = solution[2 * i * step + k];
      }
    iterate(c, coarse_path, coarse, count);
    for (i = 0; i < count; i++)
      for (k = 0; k < 2; k++) solution[2 * i * step + k] = coarse[2 * i + k];
    if (half == 0) break;
    num_between = (num_frames - half + step - 1) / step;
    for (i = 0; i < num_between; i++)
      for (k = 0; k < 2; k++) {
        float *between = &solution[2 * (half + i * step) + k];
        if (i < count - 1)
          *between = (coarse[2 * i + k] + coarse[2 * i + 2 + k]) / 2;
        else
          *between = coarse[2 * i + k] + (coarse[2 * i + k] - coarse[2 * i - 2 + k]) / 2;
      }
    step = half;
  }
  /* At the finest level the filling-in of in-between samples meets the samples themselves: the last
   * is extrapolated first, then every other is averaged with its successor. */
  for (k = 0; k < 2; k++) {
    float last = solution[2 * (num_frames - 1) + k], before = solution[2 * (num_frames - 2) + k];
    solution[2 * (num_frames - 1) + k] = last + (last - before) / 2;
  }
  for (i = 0; i + 1 < num_frames; i++)
    for (k = 0; k < 2; k++)
      solution[2 * i + k] = (solution[2 * i + k] + solution[2 * i + 2 + k]) / 2;
  for (i = 0; i < num_frames; i++)
    for (k = 0; k < 2; k++) result[3 * i + 2 * k] = solution[2 * i + k];
}
