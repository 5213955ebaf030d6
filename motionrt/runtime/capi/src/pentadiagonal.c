#include "pentadiagonal.h"

pentadiagonal pentadiagonal_factor(call *c, arena *from, int32_t count, const double *diagonal,
                                   const double *first, const double *second) {
  pentadiagonal p;
  int32_t i;
  p.count = count;
  p.d = TAKE(c, from, double, count);
  p.l1 = TAKE(c, from, double, count);
  p.l2 = TAKE(c, from, double, count);
  for (i = 0; i < count; i++) {
    double value = diagonal[i];
    if (i > 1) {
      p.l2[i] = second[i - 2] / p.d[i - 2];
      value -= p.l2[i] * p.l2[i] * p.d[i - 2];
    }
    if (i > 0) {
      double side = first[i - 1] - (i > 1 ? p.l2[i] * p.l1[i - 1] * p.d[i - 2] : 0);
      p.l1[i] = side / p.d[i - 1];
      value -= p.l1[i] * side;
    }
    p.d[i] = value;
  }
  return p;
}

void pentadiagonal_solve(const pentadiagonal *p, double *x, int32_t columns) {
  int32_t i, k;
  for (i = 1; i < p->count; i++) {
    double *row = x + (size_t)i * columns;
    for (k = 0; k < columns; k++) {
      row[k] -= p->l1[i] * row[k - columns];
      if (i > 1) row[k] -= p->l2[i] * row[k - 2 * columns];
    }
  }
  for (i = 0; i < p->count; i++)
    for (k = 0; k < columns; k++) x[(size_t)i * columns + k] /= p->d[i];
  for (i = p->count - 2; i >= 0; i--) {
    double *row = x + (size_t)i * columns;
    for (k = 0; k < columns; k++) {
      row[k] -= p->l1[i + 1] * row[k + columns];
      if (i + 2 < p->count) row[k] -= p->l2[i + 2] * row[k + 2 * columns];
    }
  }
}
