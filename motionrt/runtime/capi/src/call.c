#include "call.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK 4096
#define LARGEST_BLOCK (1u << 20)

typedef union alignment {
  long long integer;
  double number;
  void *pointer;
  long double wide;
} alignment;

typedef struct arena_block {
  struct arena_block *next;
  size_t used, size;
  alignment start[];
} arena_block;

typedef struct arena_cleanup {
  struct arena_cleanup *next;
  void (*release)(void *);
  void *what;
} arena_cleanup;

static THREAD_LOCAL char error_line[1024];
static mrt_log_fn log_function;
static void *log_user;

mrt_status call_run(void (*body)(call *, void *), void *arguments) {
  call c;
  memset(&c.memory, 0, sizeof c.memory);
  c.status = MRT_OK;
  error_line[0] = 0;
  if (!setjmp(c.out)) body(&c, arguments);
  arena_free(&c.memory);
  return c.status;
}

static void one_line(char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < 32 || *text == 127) *text = ' ';
}

void fail(call *c, mrt_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error_line, sizeof error_line, format, arguments);
  va_end(arguments);
  one_line(error_line);
  c->status = status;
  longjmp(c->out, 1);
}

const char *last_error(void) { return error_line; }

void set_last_error(const char *line) {
  snprintf(error_line, sizeof error_line, "%s", line);
  one_line(error_line);
}

static NO_RETURN void no_memory(call *c, size_t bytes) {
  fail(c, MRT_NO_MEMORY, "out of memory (%zu bytes more); ask for fewer samples or shorter motions",
       bytes);
}

void *arena_take(call *c, arena *from, size_t count, size_t size) {
  size_t bytes, room = sizeof(alignment);
  arena_block *block = from->blocks;
  if (size && count > (SIZE_MAX / 2 - sizeof(arena_block)) / size) no_memory(c, SIZE_MAX);
  bytes = (count * size + room - 1) / room * room;
  if (!bytes) bytes = room;
  if (!block || block->size - block->used < bytes) {
    size_t wanted = block ? block->size * 2 : FIRST_BLOCK;
    if (wanted > LARGEST_BLOCK) wanted = LARGEST_BLOCK;
    if (wanted < bytes) wanted = bytes;
    block = calloc(1, sizeof(arena_block) + wanted);
    if (!block) no_memory(c, wanted);
    block->size = wanted;
    /* A large piece has a block of its own; the one before may have room left for small ones. */
    if (from->blocks && bytes > LARGEST_BLOCK / 4) {
      block->next = from->blocks->next;
      from->blocks->next = block;
    } else {
      block->next = from->blocks;
      from->blocks = block;
    }
  }
  block->used += bytes;
  return (char *)block->start + block->used - bytes;
}

arena_cleanup *arena_defer(call *c, arena *from, void (*release)(void *), void *what) {
  arena_cleanup *cleanup = arena_take(c, from, 1, sizeof *cleanup);
  cleanup->release = release;
  cleanup->what = what;
  cleanup->next = from->cleanups;
  from->cleanups = cleanup;
  return cleanup;
}

void cleanup_disarm(arena_cleanup *cleanup) { cleanup->release = NULL; }

void arena_free(arena *arena) {
  arena_cleanup *cleanup = arena->cleanups;
  arena_block *block = arena->blocks;
  for (; cleanup; cleanup = cleanup->next)
    if (cleanup->release) cleanup->release(cleanup->what);
  while (block) {
    arena_block *next = block->next;
    free(block);
    block = next;
  }
  arena->blocks = NULL;
  arena->cleanups = NULL;
}

void arena_release(void *what) { arena_free(what); }

char *arena_copy(call *c, arena *from, const char *text, size_t length) {
  char *copy = arena_take(c, from, length + 1, 1);
  if (length) memcpy(copy, text, length);
  return copy;
}

static char *printed(call *c, arena *from, size_t *length, const char *format, va_list arguments) {
  va_list again;
  char *text;
  int count;
  va_copy(again, arguments);
  count = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (count < 0) no_memory(c, 0);
  text = arena_take(c, from, (size_t)count + 1, 1);
  vsnprintf(text, (size_t)count + 1, format, arguments);
  if (length) *length = (size_t)count;
  return text;
}

char *arena_print(call *c, arena *from, const char *format, ...) {
  va_list arguments;
  char *text;
  va_start(arguments, format);
  text = printed(c, from, NULL, format, arguments);
  va_end(arguments);
  return text;
}

void buffer_add(call *c, buffer *b, const void *bytes, size_t length) {
  if (b->capacity - b->length < length + 1) {
    size_t capacity = b->capacity ? b->capacity : 256;
    char *larger;
    while (capacity - b->length < length + 1) {
      if (capacity > SIZE_MAX / 4) no_memory(c, capacity);
      capacity *= 2;
    }
    larger = arena_take(c, b->from, capacity, 1);
    if (b->length) memcpy(larger, b->bytes, b->length);
    b->bytes = larger;
    b->capacity = capacity;
  }
  if (length) memcpy(b->bytes + b->length, bytes, length);
  b->length += length;
  b->bytes[b->length] = 0;
}

void buffer_print(call *c, buffer *b, const char *format, ...) {
  va_list arguments;
  char small[256];
  int count;
  va_start(arguments, format);
  count = vsnprintf(small, sizeof small, format, arguments);
  va_end(arguments);
  if (count >= 0 && (size_t)count < sizeof small) {
    buffer_add(c, b, small, (size_t)count);
  } else {
    size_t length;
    char *text;
    va_start(arguments, format);
    text = printed(c, &c->memory, &length, format, arguments);
    va_end(arguments);
    buffer_add(c, b, text, length);
  }
}

void mrt_set_log(mrt_log_fn log, void *user) {
  log_user = user;
  log_function = log;
}

void log_line(mrt_log_level level, const char *format, ...) {
  char line[1024];
  va_list arguments;
  mrt_log_fn log = log_function;
  if (!log) return;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  one_line(line);
  log(log_user, level, line);
}

const char *mrt_last_error(void) { return error_line; }
