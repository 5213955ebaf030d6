/* One call of a public function: its memory, its error, and the way out when something is wrong.
 *
 * Code below the public functions does not check for failure: `fail` and an allocation that cannot
 * be had leave through longjmp to where the call began, and all that the call holds is freed there.
 */
#ifndef MRT_CALL_H
#define MRT_CALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "../motionrt.h"

#if defined(__MINGW32__) /* its printf is not always Microsoft's */
#define PRINTF_FORMAT __MINGW_PRINTF_FORMAT
#else
#define PRINTF_FORMAT printf
#endif
#if defined(__GNUC__)
#define PRINTF_LIKE(place, first) __attribute__((format(PRINTF_FORMAT, place, first)))
#define NO_RETURN __attribute__((noreturn))
#define THREAD_LOCAL __thread
#else
#define PRINTF_LIKE(place, first)
#define NO_RETURN __declspec(noreturn)
#define THREAD_LOCAL __declspec(thread)
#endif

/* Memory that is freed as a whole, with what else must be released then. */
typedef struct arena {
  struct arena_block *blocks;
  struct arena_cleanup *cleanups;
} arena;

typedef struct call {
  jmp_buf out;
  mrt_status status;
  arena memory; /* freed when the call ends */
} call;

/* Run a body as one call; returns its status, with the line for mrt_last_error() kept. */
mrt_status call_run(void (*body)(call *, void *), void *arguments);

/* Leave the call with a status and a line; control characters in it become blanks. */
NO_RETURN void fail(call *c, mrt_status status, const char *format, ...) PRINTF_LIKE(3, 4);

/* Zeroed memory of an arena, aligned for any type. Leaves the call when there is none. */
void *arena_take(call *c, arena *from, size_t count, size_t size);
/* Release with the arena, last first. Returns the cleanup, which may be disarmed. */
struct arena_cleanup *arena_defer(call *c, arena *from, void (*release)(void *), void *what);
void cleanup_disarm(struct arena_cleanup *cleanup);
void arena_free(arena *arena);
/* The same, for arena_defer. */
void arena_release(void *what);
char *arena_copy(call *c, arena *from, const char *text, size_t length);
/* A formatted string, of any length. */
char *arena_print(call *c, arena *from, const char *format, ...) PRINTF_LIKE(3, 4);

#define TAKE(c, from, type, count) ((type *)arena_take((c), (from), (size_t)(count), sizeof(type)))
/* For one call's own use. */
#define TEMP(c, type, count) TAKE((c), &(c)->memory, type, (count))

/* Bytes that grow. */
typedef struct buffer {
  arena *from;
  char *bytes;
  size_t length, capacity;
} buffer;

void buffer_add(call *c, buffer *b, const void *bytes, size_t length);
void buffer_print(call *c, buffer *b, const char *format, ...) PRINTF_LIKE(3, 4);

/* A line for the log callback, if there is one. */
void log_line(mrt_log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

/* The line of mrt_last_error(). */
const char *last_error(void);
void set_last_error(const char *line);

#endif
