#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif
#include "files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#if defined(_WIN32)
#include <windows.h>
#define SEEK _fseeki64 /* a long has 32 bits here */
#define TELL _ftelli64
#else
#include <unistd.h>
#define SEEK fseeko
#define TELL ftello
#endif

#define PART ((size_t)1 << 16)

#if defined(_WIN32)
static wchar_t *wide(const char *text) {
  int count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
  wchar_t *result = count > 0 ? malloc((size_t)count * sizeof *result) : NULL;
  if (!result) {
    errno = EINVAL;
    return NULL;
  }
  MultiByteToWideChar(CP_UTF8, 0, text, -1, result, count);
  return result;
}
#endif

FILE *file_open(const char *path, const char *mode) {
#if defined(_WIN32)
  wchar_t *name = wide(path), *kind = wide(mode);
  FILE *file = name && kind ? _wfopen(name, kind) : NULL;
  int reason = errno;
  free(name);
  free(kind);
  errno = reason;
  return file;
#else
  return fopen(path, mode);
#endif
}

bool file_exists(const char *path) {
  FILE *file = file_open(path, "rb");
  if (file) fclose(file);
  return file != NULL;
}

static void close_file(void *file) { fclose(file); }

/* Open what can be read to an end; NULL with errno set. */
static FILE *open_whole(const char *path) {
#if !defined(_WIN32)
  struct stat about;
  if (stat(path, &about)) return NULL;
  if (!S_ISREG(about.st_mode)) { /* a pipe would wait for ever, a folder has no bytes */
    errno = S_ISDIR(about.st_mode) ? EISDIR : EINVAL;
    return NULL;
  }
#endif
  return file_open(path, "rb");
}

char *file_read(call *c, arena *from, const char *path, size_t limit, size_t *num_bytes) {
  struct arena_cleanup *cleanup;
  FILE *file = open_whole(path);
  char *bytes;
  int64_t length;
  if (!file) return NULL;
  cleanup = arena_defer(c, &c->memory, close_file, file);
  if (SEEK(file, 0, SEEK_END) || (length = TELL(file)) < 0 || SEEK(file, 0, SEEK_SET))
    fail(c, MRT_FILE_ERROR, "%s: cannot be read (%s)", path, strerror(errno));
  if ((uint64_t)length > limit)
    fail(c, MRT_BAD_INPUT, "%s: %lld bytes, at most %zu are read", path, (long long)length, limit);
  bytes = arena_take(c, from, (size_t)length + 1, 1);
  if (fread(bytes, 1, (size_t)length, file) != (size_t)length)
    fail(c, MRT_FILE_ERROR, "%s: cannot be read to its end", path);
  cleanup_disarm(cleanup);
  fclose(file);
  *num_bytes = (size_t)length;
  return bytes;
}

bool file_scan(call *c, const char *path, take_fn take, void *user) {
  struct arena_cleanup *cleanup;
  FILE *file = open_whole(path);
  char *part;
  size_t length;
  if (!file) return false;
  cleanup = arena_defer(c, &c->memory, close_file, file);
  setvbuf(file, NULL, _IONBF, 0); /* a part is buffer enough */
  part = TEMP(c, char, PART);
  while ((length = fread(part, 1, PART, file))) take(user, part, length);
  if (ferror(file)) fail(c, MRT_FILE_ERROR, "%s: cannot be read to its end", path);
  cleanup_disarm(cleanup);
  fclose(file);
  return true;
}

static void drop_new_file(void *what) {
  new_file *made = what;
  if (made->file) fclose(made->file);
#if defined(_WIN32)
  {
    wchar_t *name = wide(made->temporary);
    if (name) _wremove(name);
    free(name);
  }
#else
  remove(made->temporary);
#endif
}

void new_file_begin(call *c, new_file *made, const char *path) {
  static unsigned counter;
  made->path = arena_copy(c, &c->memory, path, strlen(path));
#if defined(_WIN32)
  made->temporary = arena_print(c, &c->memory, "%s.%lu-%u.tmp", path,
                                (unsigned long)GetCurrentProcessId(), counter++);
#else
  made->temporary =
      arena_print(c, &c->memory, "%s.%ld-%u.tmp", path, (long)getpid(), counter++);
#endif
  made->file = file_open(made->temporary, "wb");
  if (!made->file) fail(c, MRT_FILE_ERROR, "%s: cannot write here (%s)", path, strerror(errno));
  made->guard = arena_defer(c, &c->memory, drop_new_file, made);
}

void new_file_write(call *c, new_file *made, const void *bytes, size_t num_bytes) {
  if (fwrite(bytes, 1, num_bytes, made->file) != num_bytes)
    fail(c, MRT_FILE_ERROR, "%s: cannot write (%s)", made->path, strerror(errno));
}

void new_file_end(call *c, new_file *made) {
  FILE *file = made->file;
  bool moved;
  made->file = NULL;
  if (fclose(file))
    fail(c, MRT_FILE_ERROR, "%s: cannot write (%s)", made->path, strerror(errno));
#if defined(_WIN32)
  {
    wchar_t *old = wide(made->temporary), *name = wide(made->path);
    moved = old && name && MoveFileExW(old, name, MOVEFILE_REPLACE_EXISTING);
    free(old);
    free(name);
  }
#else
  moved = !rename(made->temporary, made->path);
#endif
  if (!moved) fail(c, MRT_FILE_ERROR, "%s: cannot write here (%s)", made->path, strerror(errno));
  cleanup_disarm(made->guard);
}

char *path_join(call *c, arena *from, const char *folder, const char *name) {
  return arena_print(c, from, "%s/%s", folder, name);
}

char *path_folder(call *c, arena *from, const char *path) {
  const char *end = strrchr(path, '/');
#if defined(_WIN32)
  const char *other = strrchr(path, '\\');
  if (other && (!end || other > end)) end = other;
#endif
  if (!end) return arena_copy(c, from, ".", 1);
  return arena_copy(c, from, path, end == path ? 1 : (size_t)(end - path));
}
