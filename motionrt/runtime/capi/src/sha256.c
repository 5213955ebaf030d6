#include "sha256.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define WITH_X86
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__) && \
    (defined(__ARM_FEATURE_SHA2) || defined(__ARM_FEATURE_CRYPTO) || \
     (defined(__linux__) && (!defined(__clang__) || __clang_major__ >= 17)))
#define WITH_ARM
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#define HAS_SHA2 (1ul << 6) /* HWCAP_SHA2 of Linux */
#endif
#endif

static const uint32_t round_words[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int by) { return x >> by | x << (32 - by); }

static void plain_block(uint32_t state[8], const unsigned char *bytes) {
  uint32_t w[64], a, b, c, d, e, f, g, h;
  int i;
  for (i = 0; i < 16; i++)
    w[i] = (uint32_t)bytes[4 * i] << 24 | (uint32_t)bytes[4 * i + 1] << 16 |
           (uint32_t)bytes[4 * i + 2] << 8 | bytes[4 * i + 3];
  for (; i < 64; i++) {
    a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + w[i - 7] +
           (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
  }
  /* Eight variables stay in registers, an array would not. */
  a = state[0], b = state[1], c = state[2], d = state[3];
  e = state[4], f = state[5], g = state[6], h = state[7];
  for (i = 0; i < 64; i++) {
    uint32_t first =
        h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + round_words[i] + w[i];
    uint32_t second = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + first;
    d = c, c = b, b = a, a = first + second;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void sha256_plain_blocks(uint32_t state[8], const unsigned char *bytes, size_t count) {
  for (; count; count--, bytes += 64) plain_block(state, bytes);
}

/* ---- The processor's own instructions ---- */

#if defined(WITH_X86)

#define USES_SHA __attribute__((target("sha,sse4.1,ssse3")))

/* Four rounds. */
USES_SHA static inline void x86_rounds(__m128i *abef, __m128i *cdgh, __m128i words, int round) {
  __m128i sum = _mm_add_epi32(words, _mm_loadu_si128((const __m128i *)(round_words + round)));
  *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, sum);
  *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(sum, 0x0E));
}

/* Four words of the schedule from the 16 before them. */
USES_SHA static inline __m128i x86_words(__m128i a, __m128i b, __m128i c, __m128i d) {
  __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));
  return _mm_sha256msg2_epu32(sum, d);
}

USES_SHA static void x86_blocks(uint32_t state[8], const unsigned char *bytes, size_t count) {
  const __m128i swap = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);
  __m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
  __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
  __m128i abef = _mm_alignr_epi8(dcba, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, dcba, 0xF0);
  for (; count; count--, bytes += 64) {
    const __m128i *from = (const __m128i *)bytes;
    __m128i before = abef, also = cdgh;
    __m128i a = _mm_shuffle_epi8(_mm_loadu_si128(from), swap);
    __m128i b = _mm_shuffle_epi8(_mm_loadu_si128(from + 1), swap);
    __m128i c = _mm_shuffle_epi8(_mm_loadu_si128(from + 2), swap);
    __m128i d = _mm_shuffle_epi8(_mm_loadu_si128(from + 3), swap);
    int round;
    for (round = 0;; round += 16) {
      x86_rounds(&abef, &cdgh, a, round);
      x86_rounds(&abef, &cdgh, b, round + 4);
      x86_rounds(&abef, &cdgh, c, round + 8);
      x86_rounds(&abef, &cdgh, d, round + 12);
      if (round == 48) break;
      a = x86_words(a, b, c, d);
      b = x86_words(b, c, d, a);
      c = x86_words(c, d, a, b);
      d = x86_words(d, a, b, c);
    }
    abef = _mm_add_epi32(abef, before);
    cdgh = _mm_add_epi32(cdgh, also);
  }
  dcba = _mm_shuffle_epi32(abef, 0x1B); /* feba */
  hgfe = _mm_shuffle_epi32(cdgh, 0xB1); /* dchg */
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(dcba, hgfe, 0xF0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(hgfe, dcba, 8));
}

static sha256_blocks own_blocks(void) {
  unsigned a, b, c, d;
  bool has_sse = __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 9) && (c & 1u << 19);
  bool has_sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29);
  return has_sse && has_sha ? x86_blocks : sha256_plain_blocks;
}

#elif defined(WITH_ARM)

#if defined(__ARM_FEATURE_SHA2) || defined(__ARM_FEATURE_CRYPTO)
#define USES_SHA
#elif defined(__clang__)
#define USES_SHA __attribute__((target("sha2")))
#else
#define USES_SHA __attribute__((target("+crypto")))
#endif

/* Four rounds. */
USES_SHA static inline void arm_rounds(uint32x4_t *abcd, uint32x4_t *efgh, uint32x4_t words,
                                       int round) {
  uint32x4_t sum = vaddq_u32(words, vld1q_u32(round_words + round)), before = *abcd;
  *abcd = vsha256hq_u32(before, *efgh, sum);
  *efgh = vsha256h2q_u32(*efgh, before, sum);
}

/* Four words of the schedule from the 16 before them. */
USES_SHA static inline uint32x4_t arm_words(uint32x4_t a, uint32x4_t b, uint32x4_t c,
                                            uint32x4_t d) {
  return vsha256su1q_u32(vsha256su0q_u32(a, b), c, d);
}

USES_SHA static inline uint32x4_t arm_read(const unsigned char *bytes) {
  return vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(bytes)));
}

USES_SHA static void arm_blocks(uint32_t state[8], const unsigned char *bytes, size_t count) {
  uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
  for (; count; count--, bytes += 64) {
    uint32x4_t before = abcd, also = efgh;
    uint32x4_t a = arm_read(bytes), b = arm_read(bytes + 16), c = arm_read(bytes + 32);
    uint32x4_t d = arm_read(bytes + 48);
    int round;
    for (round = 0;; round += 16) {
      arm_rounds(&abcd, &efgh, a, round);
      arm_rounds(&abcd, &efgh, b, round + 4);
      arm_rounds(&abcd, &efgh, c, round + 8);
      arm_rounds(&abcd, &efgh, d, round + 12);
      if (round == 48) break;
      a = arm_words(a, b, c, d);
      b = arm_words(b, c, d, a);
      c = arm_words(c, d, a, b);
      d = arm_words(d, a, b, c);
    }
    abcd = vaddq_u32(abcd, before);
    efgh = vaddq_u32(efgh, also);
  }
  vst1q_u32(state, abcd);
  vst1q_u32(state + 4, efgh);
}

static sha256_blocks own_blocks(void) {
#if defined(__linux__)
  if (!(getauxval(AT_HWCAP) & HAS_SHA2)) return sha256_plain_blocks;
#endif
  return arm_blocks;
}

#else

static sha256_blocks own_blocks(void) { return sha256_plain_blocks; }

#endif

/* ---- Bytes in parts ---- */

void sha256_begin(sha256 *hash) {
  static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  hash->blocks = own_blocks();
  memcpy(hash->state, start, sizeof start);
  hash->num_bytes = 0;
}

void sha256_add(sha256 *hash, const void *data, size_t num_bytes) {
  const unsigned char *bytes = data;
  size_t held = (size_t)(hash->num_bytes % 64), most = 64 - held;
  hash->num_bytes += num_bytes;
  if (held) {
    if (most > num_bytes) most = num_bytes;
    memcpy(hash->rest + held, bytes, most);
    if (held + most < 64) return;
    hash->blocks(hash->state, hash->rest, 1);
    bytes += most, num_bytes -= most;
  }
  hash->blocks(hash->state, bytes, num_bytes / 64);
  if (num_bytes % 64) memcpy(hash->rest, bytes + num_bytes / 64 * 64, num_bytes % 64);
}

void sha256_end(sha256 *hash, char *hex) {
  unsigned char last[128] = {0};
  size_t left = (size_t)(hash->num_bytes % 64), tail = left < 56 ? 64 : 128, i;
  memcpy(last, hash->rest, left);
  last[left] = 0x80;
  for (i = 0; i < 8; i++) last[tail - 1 - i] = (unsigned char)(hash->num_bytes * 8 >> (8 * i));
  hash->blocks(hash->state, last, tail / 64);
  for (i = 0; i < 64; i++)
    hex[i] = "0123456789abcdef"[hash->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
  hex[64] = 0;
}
