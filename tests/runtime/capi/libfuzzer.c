/* The same targets for libFuzzer, which finds leaks too. libfuzzer.py builds and runs it; by hand:
 *
 *     MRT_FUZZ_TARGET=request MRT_FUZZ_BUNDLE=motionrt/assets/default ./libfuzzer corpus/request
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_targets.h"

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t room, unsigned seed);

int LLVMFuzzerInitialize(int *count, char ***arguments) {
  const char *target = getenv("MRT_FUZZ_TARGET"), *bundle = getenv("MRT_FUZZ_BUNDLE");
  (void)count, (void)arguments;
  if (!target || !bundle) {
    fputs("set MRT_FUZZ_TARGET and MRT_FUZZ_BUNDLE\n", stderr);
    exit(2);
  }
  choose_target(target, bundle);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size <= LARGEST) run_input((const char *)data, size);
  return 0;
}

static size_t changed(uint8_t *out, size_t room, const uint8_t *data, size_t size, bytes other,
                      unsigned seed) {
  char text[LARGEST + 1];
  bytes b = {text, size < LARGEST ? size : LARGEST};
  size_t i;
  memcpy(text, data, b.length);
  seed_changes(seed);
  for (i = 1 + number(4); i; i--) change(&b, other);
  if (b.length > room) b.length = room;
  memcpy(out, text, b.length);
  return b.length;
}

/* Half by libFuzzer's own changes, half by those that know JSON. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
  bytes nothing = {NULL, 0};
  if (seed & 1) return LLVMFuzzerMutate(data, size, room);
  return changed(data, room, data, size, nothing, seed);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t room, unsigned seed) {
  bytes given = {(char *)other, other_size};
  return changed(out, room, data, size, given, seed);
}
