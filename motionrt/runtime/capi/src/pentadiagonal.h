/* Symmetric positive definite matrices with two side diagonals, factored as L D Lᵀ. */
#ifndef MRT_PENTADIAGONAL_H
#define MRT_PENTADIAGONAL_H

#include "call.h"

typedef struct pentadiagonal {
  int32_t count;
  double *d, *l1, *l2;
} pentadiagonal;

/* Factor one with these diagonals: (N), (N - 1) and (N - 2) numbers. */
pentadiagonal pentadiagonal_factor(call *c, arena *from, int32_t count, const double *diagonal,
                                   const double *first, const double *second);
/* Solve for x (N, columns), in place. */
void pentadiagonal_solve(const pentadiagonal *p, double *x, int32_t columns);

#endif
