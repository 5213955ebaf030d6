/* Feeds changed inputs to the parts of the library that read what others wrote, in a build with
 * sanitizers and -fsanitize-coverage=trace-pc. Inputs that reach something new are changed further.
 * fuzz.py builds and runs it.
 *
 *     fuzz TARGET BUNDLE CORPUS SECONDS SEED [OUT]
 *
 * The same seed and number of inputs give the same inputs. OUT (default: the current folder) gets
 * the input at hand as TARGET.input, which a crash leaves behind; `fuzz TARGET BUNDLE FILE` runs one
 * input alone.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz_targets.h"

#define MAP_SIZE ((size_t)1 << 16)
#define MAX_INPUTS 20000
#define HANG_SECONDS 60

/* ---- What is reached ---- */

static unsigned char hits[MAP_SIZE], seen[MAP_SIZE];
static uintptr_t before;
static bool counts; /* while a target runs */

/* Called by every block. */
__attribute__((no_sanitize_coverage, no_sanitize("address", "undefined"))) void
__sanitizer_cov_trace_pc(void) {
  uintptr_t here = (uintptr_t)__builtin_return_address(0);
  if (!counts) return;
  hits[(here ^ before) & (MAP_SIZE - 1)]++;
  before = here >> 1;
}

/* Whether the last input went a new way, or a known one many more times; the map is cleared. */
static bool is_new(size_t *edges) {
  bool found = false;
  size_t i, k;
  for (i = 0; i < MAP_SIZE; i += 8) {
    uint64_t eight;
    memcpy(&eight, hits + i, 8);
    if (!eight) continue;
    for (k = i; k < i + 8; k++) {
      unsigned char count = hits[k], class = 0;
      while (count) class++, count >>= 1;
      if (!class) continue;
      class = (unsigned char)(1u << (class - 1));
      if (!seen[k]) (*edges)++;
      if (!(seen[k] & class)) found = true, seen[k] |= class;
    }
    memset(hits + i, 0, 8);
  }
  before = 0;
  return found;
}

/* ---- The run ---- */

static bytes inputs[MAX_INPUTS];
static size_t num_inputs;

static void keep(const char *at, size_t length) {
  if (num_inputs == MAX_INPUTS || length > LARGEST) return;
  inputs[num_inputs].at = malloc(length + 1);
  memcpy(inputs[num_inputs].at, at, length);
  inputs[num_inputs++].length = length;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_corpus(const char *folder) {
  DIR *directory = opendir(folder);
  struct dirent *entry;
  char *names[1024], path[4096];
  size_t count = 0, i;
  if (!directory) {
    perror(folder);
    exit(2);
  }
  while ((entry = readdir(directory)) && count < 1024)
    if (entry->d_name[0] != '.') names[count++] = strdup(entry->d_name);
  closedir(directory);
  qsort(names, count, sizeof *names, by_name);
  for (i = 0; i < count; i++) {
    bytes b;
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    b = read_all(path);
    keep(b.at, b.length);
    free(b.at);
    free(names[i]);
  }
  if (!num_inputs) keep("", 0);
}

static char *map_current(const char *name, const char *folder) {
  char path[4096], *found;
  int file;
  snprintf(path, sizeof path, "%s/%s.input", folder, name);
  file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (file < 0 || ftruncate(file, (off_t)(LARGEST + 8))) {
    perror(path);
    exit(2);
  }
  found = mmap(NULL, LARGEST + 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (found == MAP_FAILED) {
    perror(path);
    exit(2);
  }
  return found;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void hang(int signal) {
  static const char line[] = "an input takes more than a minute\n";
  (void)signal;
  (void)!write(2, line, sizeof line - 1);
  abort();
}

int main(int count, char **arguments) {
  size_t edges = 0, i;
  unsigned long runs = 0;
  double start, seconds, slowest = 0;
  const char *name;
  char *current;
  bytes b;
  if (count < 4) return fputs("fuzz TARGET BUNDLE CORPUS SECONDS SEED [OUT]\n", stderr), 2;
  name = arguments[1];
  choose_target(name, arguments[2]);
  if (count < 6) { /* one input, as it was left by a crash: its length is in front */
    uint64_t length;
    b = read_all(arguments[3]);
    memcpy(&length, b.at, 8);
    if (b.length == LARGEST + 8 && length <= LARGEST) run_input(b.at + 8, length);
    else run_input(b.at, b.length);
    return puts("nothing found"), 0;
  }
  read_corpus(arguments[3]);
  seconds = atof(arguments[4]);
  seed_changes(strtoull(arguments[5], NULL, 10));
  current = map_current(name, count > 6 ? arguments[6] : ".");
  signal(SIGALRM, hang);
  b.at = malloc(LARGEST + 1);
  start = now();
  do {
    double began = runs % 64 ? 0 : now();
    bytes from;
    uint64_t length;
    if (!(runs % 64)) alarm(HANG_SECONDS);
    if (runs < num_inputs) {
      from = inputs[runs]; /* the corpus first, as it is */
    } else {
      size_t late = num_inputs < 16 ? num_inputs : num_inputs / 4;
      from = number(2) ? inputs[number(num_inputs)] : inputs[num_inputs - 1 - number(late)];
    }
    memcpy(b.at, from.at, from.length);
    b.length = from.length;
    if (runs >= num_inputs)
      for (i = 1 + number(4) * number(3); i; i--) change(&b, inputs[number(num_inputs)]);
    length = b.length;
    memcpy(current, &length, 8);
    memcpy(current + 8, b.at, b.length);
    counts = true;
    run_input(b.at, b.length);
    counts = false;
    if (is_new(&edges) && runs >= num_inputs) keep(b.at, b.length);
    runs++;
    if (began && now() - began > slowest) slowest = now() - began;
  } while (runs % 64 || now() - start < seconds);
  printf("%s: %lu inputs in %.0f s, %.0f a second; %zu edges; %zu inputs kept; slowest %.0f ms\n",
         name, runs, now() - start, (double)runs / (now() - start), edges, num_inputs,
         slowest * 1e3);
  for (i = 0; i < num_inputs; i++) free(inputs[i].at);
  free(b.at);
  return 0;
}
