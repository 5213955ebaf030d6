/* SHA-256 (FIPS 180-4). */
#ifndef MRT_SHA256_H
#define MRT_SHA256_H

#include <stddef.h>

/* Write the hash of bytes as 64 hexadecimal digits and a zero. */
void sha256_hex(const void *bytes, size_t num_bytes, char *hex);

#endif
