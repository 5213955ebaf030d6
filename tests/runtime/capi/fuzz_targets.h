/* What is fuzzed, and how its inputs are changed; fuzz.c and libfuzzer.c run it. */
#ifndef FUZZ_TARGETS_H
#define FUZZ_TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LARGEST ((size_t)1 << 14) /* bytes of an input */

typedef struct bytes {
  char *at;
  size_t length;
} bytes;

/* Choose what is fuzzed and read the bundle that it takes from; on failure the program ends. */
void choose_target(const char *name, const char *bundle);
/* Give an input to the target. */
void run_input(const char *at, size_t length);

/* Make the changes that follow reproducible. */
void seed_changes(uint64_t seed);
/* A number from 0 to below, excluded. */
uint64_t number(uint64_t below);
/* Change an input of room for LARGEST bytes, with parts of another. */
void change(bytes *b, bytes other);

/* A file's bytes, on the heap; if it cannot be read, the program ends. */
bytes read_all(const char *path);

#endif
