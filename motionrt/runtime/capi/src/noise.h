/* Noise from a seed: the numbers that torch's CPU generator gives for the same seed and shapes. */
#ifndef MRT_NOISE_H
#define MRT_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MT_WORDS 624

typedef struct noise {
  uint32_t words[MT_WORDS];
  int next;
  bool has_spare;
  double spare;
  size_t num_given; /* of noise that was given instead */
} noise;

void noise_seed(noise *n, uint32_t seed);
/* The next 32 random bits. */
uint32_t noise_word(noise *n);
/* Draw standard normal values: one call is one torch.randn of as many. */
void noise_normal(noise *n, float *values, size_t count);

#endif
