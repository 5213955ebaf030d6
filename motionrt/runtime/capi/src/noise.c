#include "noise.h"

#include <math.h>

#define MIDDLE 397
#define BLOCK 16
#define TWO_PI 6.28318530717958647692

void noise_seed(noise *n, uint32_t seed) {
  int i;
  n->words[0] = seed;
  for (i = 1; i < MT_WORDS; i++)
    n->words[i] =
        1812433253u * (n->words[i - 1] ^ n->words[i - 1] >> 30) + (uint32_t)i;
  n->next = MT_WORDS;
  n->has_spare = false;
  n->num_given = 0;
}

/* Source: Matsumoto and Nishimura 1998, MT19937. */
uint32_t noise_word(noise *n) {
  uint32_t y;
  if (n->next == MT_WORDS) {
    int i;
    for (i = 0; i < MT_WORDS; i++) {
      y = (n->words[i] & 0x80000000u) | (n->words[(i + 1) % MT_WORDS] & 0x7FFFFFFFu);
      n->words[i] = n->words[(i + MIDDLE) % MT_WORDS] ^ y >> 1 ^ (y & 1 ? 0x9908B0DFu : 0);
    }
    n->next = 0;
  }
  y = n->words[n->next++];
  y ^= y >> 11;
  y ^= y << 7 & 0x9D2C5680u;
  y ^= y << 15 & 0xEFC60000u;
  return y ^ y >> 18;
}

/* Fewer than 16 values come by another path: doubles, and a spare for next time. */
static double single(noise *n) {
  uint64_t first, second;
  double u1, u2, radius;
  if (n->has_spare) {
    n->has_spare = false;
    return n->spare;
  }
  first = (uint64_t)noise_word(n) << 32;
  first |= noise_word(n);
  second = (uint64_t)noise_word(n) << 32;
  second |= noise_word(n);
  u1 = (double)(first & ((UINT64_C(1) << 53) - 1)) * ldexp(1, -53);
  u2 = (double)(second & ((UINT64_C(1) << 53) - 1)) * ldexp(1, -53);
  radius = sqrt(-2 * log1p(-u2));
  n->spare = radius * sin(TWO_PI * u1);
  n->has_spare = true;
  return radius * cos(TWO_PI * u1);
}

/* Turn a block of uniform values into normal ones, in place (Box and Muller 1958). Functions are those
 * of doubles, rounded: so they are the nearest floats on every machine, as in Python. */
static void box_muller(float *values) {
  int i;
  for (i = 0; i < BLOCK / 2; i++) {
    float radius = sqrtf(-2.0f * (float)log(1.0f - values[i]));
    float angle = (float)TWO_PI * values[i + BLOCK / 2];
    values[i] = radius * (float)cos(angle);
    values[i + BLOCK / 2] = radius * (float)sin(angle);
  }
}

static void uniform(noise *n, float *values, size_t count) {
  size_t i;
  for (i = 0; i < count; i++)
    values[i] = (float)(noise_word(n) & 0xFFFFFFu) * (1.0f / 16777216.0f);
}

void noise_normal(noise *n, float *values, size_t count) {
  size_t i;
  if (count < BLOCK) {
    for (i = 0; i < count; i++) values[i] = (float)single(n);
    return;
  }
  uniform(n, values, count);
  for (i = 0; i + BLOCK <= count; i += BLOCK) box_muller(values + i);
  if (i != count) { /* torch draws the last block anew when the size is no multiple of it */
    uniform(n, values + count - BLOCK, BLOCK);
    box_muller(values + count - BLOCK);
  }
}
