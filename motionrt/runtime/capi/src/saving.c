#include <string.h>

#include "files.h"
#include "writers.h"

typedef struct format {
  const char *name;
  void (*write)(call *, const mrt_motion *, buffer *);
} format;

static const format formats[] = {{"bvh", write_bvh}, {"glb", write_glb}};
#define NUM_FORMATS (sizeof formats / sizeof *formats)

/* The format of this name, in any case; NULL if there is none. */
static const format *find_format(const char *name) {
  size_t i, k;
  for (i = 0; i < NUM_FORMATS; i++) {
    for (k = 0; name[k] && (name[k] | 32) == formats[i].name[k]; k++) continue;
    if (!name[k] && !formats[i].name[k]) return &formats[i];
  }
  return NULL;
}

typedef struct save_arguments {
  const mrt_motion *motion;
  const char *path, *format;
  mrt_write_fn write;
  void *user;
} save_arguments;

static void save(call *c, void *arguments) {
  save_arguments *a = arguments;
  const char *dot;
  const format *f;
  buffer out = {&c->memory, NULL, 0, 0};
  new_file *file = TEMP(c, new_file, 1);
  if (!a->motion || !a->path) fail(c, MRT_BAD_ARGUMENT, "motion or path is NULL");
  dot = strrchr(a->path, '.');
  f = dot ? find_format(dot + 1) : NULL;
  if (!f) fail(c, MRT_BAD_INPUT, "%s: this library writes .bvh and .glb", a->path);
  f->write(c, a->motion, &out);
  new_file_begin(c, file, a->path);
  new_file_write(c, file, out.bytes, out.length);
  new_file_end(c, file);
}

mrt_status mrt_motion_save(const mrt_motion *motion, const char *path) {
  save_arguments arguments = {motion, path, NULL, NULL, NULL};
  return call_run(save, &arguments);
}

static void encode(call *c, void *arguments) {
  save_arguments *a = arguments;
  const format *f;
  buffer out = {&c->memory, NULL, 0, 0};
  if (!a->motion || !a->format || !a->write)
    fail(c, MRT_BAD_ARGUMENT, "motion, format or write is NULL");
  f = find_format(a->format);
  if (!f) fail(c, MRT_BAD_INPUT, "format %s: there are bvh and glb", a->format);
  f->write(c, a->motion, &out);
  if (!a->write(a->user, out.bytes, out.length))
    fail(c, MRT_FILE_ERROR, "the write callback stopped");
}

mrt_status mrt_motion_encode(const mrt_motion *motion, const char *format, mrt_write_fn write,
                             void *user) {
  save_arguments arguments = {motion, NULL, format, write, user};
  return call_run(encode, &arguments);
}
