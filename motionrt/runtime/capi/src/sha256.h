/* SHA-256 (FIPS 180-4). */
#ifndef MRT_SHA256_H
#define MRT_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef void (*sha256_blocks)(uint32_t state[8], const unsigned char *bytes, size_t count);

/* The hash of bytes that come in parts. */
typedef struct sha256 {
  sha256_blocks blocks; /* by the processor's own instructions where it has them */
  uint32_t state[8];
  uint64_t num_bytes;
  unsigned char rest[64]; /* less than a block, of parts before */
} sha256;

void sha256_begin(sha256 *hash);
void sha256_add(sha256 *hash, const void *bytes, size_t num_bytes);
/* Write the hash as 64 hexadecimal digits and a zero. */
void sha256_end(sha256 *hash, char *hex);

/* What any processor can. */
void sha256_plain_blocks(uint32_t state[8], const unsigned char *bytes, size_t count);

#endif
