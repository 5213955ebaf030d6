/* Files by UTF-8 paths. */
#ifndef MRT_FILES_H
#define MRT_FILES_H

#include <stdio.h>

#include "call.h"

/* Open a file; NULL with errno set. mode as for fopen. */
FILE *file_open(const char *path, const char *mode);
/* Read a whole file into an arena, a zero behind it; NULL with errno set if it cannot be. what fails
 * otherwise (memory, a file of more than limit bytes) leaves the call. */
char *file_read(call *c, arena *from, const char *path, size_t limit, size_t *num_bytes);
/* Give a file to take in parts; false with errno set if it cannot be opened. */
typedef void (*take_fn)(void *user, const void *bytes, size_t num_bytes);
bool file_scan(call *c, const char *path, take_fn take, void *user);
/* Begin and end a file that is whole or absent: written beside, then renamed. */
typedef struct new_file {
  FILE *file;
  char *path, *temporary;
  struct arena_cleanup *guard;
} new_file;
void new_file_begin(call *c, new_file *made, const char *path);
void new_file_write(call *c, new_file *made, const void *bytes, size_t num_bytes);
void new_file_end(call *c, new_file *made);
/* folder/name. */
char *path_join(call *c, arena *from, const char *folder, const char *name);
/* The folder of a path, "." if it names none. */
char *path_folder(call *c, arena *from, const char *path);
bool file_exists(const char *path);

#endif
