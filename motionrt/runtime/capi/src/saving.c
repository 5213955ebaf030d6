#include <string.h>

#include "files.h"
#include "writers.h"

typedef struct format {
  const char *name;
  void (*write)(call *, const mrt_motion *, const wishes *, buffer *);
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
  const mrt_save_options *options;
} save_arguments;

static vec3 axis(call *c, mrt_axis which, const char *name) {
  double sign = which % 2 ? -1 : 1;
  if ((int)which < MRT_PLUS_X || (int)which > MRT_MINUS_Z)
    fail(c, MRT_BAD_ARGUMENT, "%s: no axis %d", name, (int)which);
  return which / 2 == 0 ? vec(sign, 0, 0) : which / 2 == 1 ? vec(0, sign, 0) : vec(0, 0, sign);
}

static const wishes *read_wishes(call *c, const save_arguments *a) {
  mrt_save_options o;
  wishes *w = TEMP(c, wishes, 1);
  vec3 up, forward;
  mrt_save_options_init(&o);
  if (a->options) {
    size_t size = a->options->struct_size;
    if (size < sizeof size) fail(c, MRT_BAD_ARGUMENT, "options: call mrt_save_options_init first");
    memcpy(&o, a->options, size < sizeof o ? size : sizeof o);
  }
  if (!(o.bvh_scale > 0 && o.bvh_scale <= 1e4))
    fail(c, MRT_BAD_INPUT, "bvh_scale is %g, it must be above zero and at most 10000", o.bvh_scale);
  up = axis(c, o.bvh_up, "bvh_up");
  forward = axis(c, o.bvh_forward, "bvh_forward");
  if (vec_dot(up, forward) != 0)
    fail(c, MRT_BAD_INPUT, "bvh_up and bvh_forward lie along one axis: they must be square");
  w->bvh_scale = (float)o.bvh_scale;
  w->bvh_turned = up.y != 1 || forward.z != 1;
  w->bvh_axes = mat_columns(vec_cross(up, forward), up, forward);
  if (o.root_bone) {
    root_path *path = TEMP(c, root_path, 1);
    *path = path_of(c, a->motion, o.root_smoothing);
    w->bone = path;
  }
  return w;
}

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
  f->write(c, a->motion, read_wishes(c, a), &out);
  new_file_begin(c, file, a->path);
  new_file_write(c, file, out.bytes, out.length);
  new_file_end(c, file);
}

mrt_status mrt_motion_save_as(const mrt_motion *motion, const char *path,
                              const mrt_save_options *options) {
  save_arguments arguments = {motion, path, NULL, NULL, NULL, options};
  return call_run(save, &arguments);
}

mrt_status mrt_motion_save(const mrt_motion *motion, const char *path) {
  return mrt_motion_save_as(motion, path, NULL);
}

static void encode(call *c, void *arguments) {
  save_arguments *a = arguments;
  const format *f;
  buffer out = {&c->memory, NULL, 0, 0};
  if (!a->motion || !a->format || !a->write)
    fail(c, MRT_BAD_ARGUMENT, "motion, format or write is NULL");
  f = find_format(a->format);
  if (!f) fail(c, MRT_BAD_INPUT, "format %s: there are bvh and glb", a->format);
  f->write(c, a->motion, read_wishes(c, a), &out);
  if (!a->write(a->user, out.bytes, out.length))
    fail(c, MRT_FILE_ERROR, "the write callback stopped");
}

mrt_status mrt_motion_encode_as(const mrt_motion *motion, const char *format,
                                const mrt_save_options *options, mrt_write_fn write, void *user) {
  save_arguments arguments = {motion, NULL, format, write, user, options};
  return call_run(encode, &arguments);
}

mrt_status mrt_motion_encode(const mrt_motion *motion, const char *format, mrt_write_fn write,
                             void *user) {
  return mrt_motion_encode_as(motion, format, NULL, write, user);
}
