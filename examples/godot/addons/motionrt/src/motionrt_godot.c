/* motionrt for Godot 3: the classes MotionrtPipeline and MotionrtMotion, by GDNative.
 *
 * A method that can fail returns a String: empty, or one line that says what is wrong. Methods may
 * be called from any thread; generate() takes long and belongs in one of its own.
 */
#include <motionrt.h>

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdnative.h"

#define DECLARE(name, place, result, arguments) result(*name) arguments;
static struct {
  GD_CORE(DECLARE)
} gd;
static const gd_nativescript_table *nativescript;

/* A file of a bundle that Godot handed over: its bytes stay where they are while it is read. */
typedef struct bundle_file {
  char *name;
  gd_handle bytes;
  gd_access *access;
  size_t num_bytes;
} bundle_file;

/* What an object of Godot holds begins with what it is. */
enum { PIPELINE = 0x6d727431, MOTION = 0x6d727432 };

typedef struct pipeline {
  int kind;
  mrt_pipeline *handle;
  bundle_file *files;
  int num_files;
  atomic_bool cancelled;
  atomic_int done, total; /* denoising steps */
} pipeline;

typedef struct motion {
  int kind;
  mrt_motion *handle;
  mrt_motion_info info;
} motion;

/* ---- From Godot and to it ---- */

static gd_variant none(void) {
  gd_variant made;
  gd.variant_new_nil(&made);
  return made;
}

static gd_variant number(double value) {
  gd_variant made;
  gd.variant_new_real(&made, value);
  return made;
}

static gd_variant text(const char *utf8) {
  gd_handle string = gd.string_chars_to_utf8(utf8);
  gd_variant made;
  gd.variant_new_string(&made, &string);
  gd.string_destroy(&string);
  return made;
}

static gd_variant outcome(mrt_status status) { return text(status == MRT_OK ? "" : mrt_last_error()); }

static bool is(const gd_variant *value, int type) { return gd.variant_get_type(value) == type; }

static bool is_number(const gd_variant *value) { return is(value, GD_INT) || is(value, GD_REAL); }

/* A copy in UTF-8, to be freed; NULL without memory or if it is none. */
static char *utf8_of(const gd_variant *value) {
  gd_handle string, chars;
  char *copy;
  size_t size;
  if (!is(value, GD_STRING)) return NULL;
  string = gd.variant_as_string(value);
  chars = gd.string_utf8(&string);
  size = strlen(gd.char_string_get_data(&chars)) + 1;
  copy = malloc(size);
  if (copy) memcpy(copy, gd.char_string_get_data(&chars), size);
  gd.char_string_destroy(&chars);
  gd.string_destroy(&string);
  return copy;
}

static motion *motion_of(const gd_variant *value) {
  gd_object *object = is(value, GD_OBJECT) ? gd.variant_as_object(value) : NULL;
  motion *found = object ? nativescript->get_userdata(object) : NULL;
  return found && found->kind == MOTION ? found : NULL;
}

/* ---- MotionrtPipeline ---- */

static void *pipeline_create(gd_object *instance, void *data) {
  pipeline *self = calloc(1, sizeof *self);
  (void)instance, (void)data;
  if (self) self->kind = PIPELINE;
  return self;
}

static void pipeline_close(pipeline *self) {
  mrt_pipeline_free(self->handle);
  self->handle = NULL;
  for (int i = 0; i < self->num_files; i++) {
    free(self->files[i].name);
    gd.pool_byte_array_read_access_destroy(self->files[i].access);
    gd.pool_byte_array_destroy(&self->files[i].bytes);
  }
  free(self->files);
  self->files = NULL;
  self->num_files = 0;
}

static void pipeline_destroy(gd_object *instance, void *data, void *self) {
  (void)instance, (void)data;
  if (!self) return;
  pipeline_close(self);
  free(self);
}

/* open(folder: String) -> String */
static gd_variant pipeline_open(gd_object *instance, void *data, void *given, int count,
                                gd_variant **arguments) {
  pipeline *self = given;
  gd_variant result;
  char *folder;
  (void)instance, (void)data;
  if (count != 1 || !is(arguments[0], GD_STRING)) return text("open: a folder is wanted");
  folder = utf8_of(arguments[0]);
  pipeline_close(self);
  result = outcome(mrt_pipeline_load(folder, NULL, &self->handle));
  free(folder);
  return result;
}

static const void *hand_out(void *user, const char *name, size_t *num_bytes) {
  pipeline *self = user;
  for (int i = 0; i < self->num_files; i++)
    if (!strcmp(self->files[i].name, name)) {
      *num_bytes = self->files[i].num_bytes;
      return gd.pool_byte_array_read_access_ptr(self->files[i].access);
    }
  return NULL;
}

/* open_files(files: Dictionary of names to PoolByteArray) -> String */
static gd_variant pipeline_open_files(gd_object *instance, void *data, void *given, int count,
                                      gd_variant **arguments) {
  pipeline *self = given;
  gd_handle files, keys;
  int num_files;
  bool whole = true;
  (void)instance, (void)data;
  if (count != 1 || !is(arguments[0], GD_DICTIONARY))
    return text("open_files: a dictionary of names to PoolByteArray is wanted");
  pipeline_close(self);
  files = gd.variant_as_dictionary(arguments[0]);
  keys = gd.dictionary_keys(&files);
  num_files = gd.array_size(&keys);
  self->files = calloc(num_files ? (size_t)num_files : 1, sizeof *self->files);
  for (int i = 0; self->files && i < num_files; i++) {
    gd_variant key = gd.array_get(&keys, i), value = gd.dictionary_get(&files, &key);
    bundle_file *file = &self->files[self->num_files];
    file->name = utf8_of(&key);
    if (file->name && is(&value, GD_POOL_BYTE_ARRAY)) {
      file->bytes = gd.variant_as_pool_byte_array(&value);
      file->access = gd.pool_byte_array_read(&file->bytes);
      file->num_bytes = (size_t)gd.pool_byte_array_size(&file->bytes);
      self->num_files++;
    } else {
      free(file->name);
      whole = false;
    }
    gd.variant_destroy(&value);
    gd.variant_destroy(&key);
  }
  gd.array_destroy(&keys);
  gd.dictionary_destroy(&files);
  if (!self->files) return text("open_files: out of memory");
  if (!whole) return text("open_files: names must be String, contents PoolByteArray");
  return outcome(mrt_pipeline_load_files(hand_out, self, NULL, &self->handle));
}

static bool listen(void *user, const char *stage, int32_t done, int32_t total) {
  pipeline *self = user;
  if (!strcmp(stage, "denoising")) {
    atomic_store(&self->total, total);
    atomic_store(&self->done, done);
  }
  return !atomic_load(&self->cancelled);
}

/* Set one option by its name; the line to return if it cannot be, else an empty one. Texts that
 * options point to are kept until the call is over. */
static void set_option(mrt_generate_options *options, const char *name, const gd_variant *value,
                       char **kept, char *line, size_t size) {
  motion *before = motion_of(value);
  bool is_text = is(value, GD_STRING);
  if (is_number(value) && !strcmp(name, "seed")) {
    options->seed = gd.variant_as_int(value);
  } else if (is_number(value) && !strcmp(name, "seconds")) {
    options->seconds = gd.variant_as_real(value);
  } else if (is_number(value) && !strcmp(name, "steps")) {
    options->num_steps = (int32_t)gd.variant_as_int(value);
  } else if (is_number(value) && !strcmp(name, "heading")) {
    options->first_heading_rad = (float)gd.variant_as_real(value);
  } else if (before && !strcmp(name, "continue_from")) {
    options->continue_from = before->handle;
  } else if (is_text && !strcmp(name, "preset")) {
    options->preset = *kept = utf8_of(value);
  } else if (is_text && !strcmp(name, "constraints")) {
    options->constraints_json = *kept = utf8_of(value);
  } else {
    snprintf(line, size,
             "generate: no option %.40s of this kind; there are seed, seconds, steps, heading "
             "(numbers), preset, constraints (String) and continue_from (MotionrtMotion)",
             name);
  }
}

/* generate(motion: MotionrtMotion, prompt: String, options: Dictionary) -> String */
static gd_variant pipeline_generate(gd_object *instance, void *data, void *given, int count,
                                    gd_variant **arguments) {
  pipeline *self = given;
  motion *into = count == 3 ? motion_of(arguments[0]) : NULL;
  mrt_generate_options options;
  gd_handle chosen, keys;
  gd_variant result;
  char line[256] = "", *prompt, **kept;
  int num_options;
  mrt_motion *made;
  mrt_status status;
  (void)instance, (void)data;
  if (!into || !is(arguments[1], GD_STRING) || !is(arguments[2], GD_DICTIONARY))
    return text("generate: a MotionrtMotion, a prompt and a dictionary of options are wanted");
  if (!self->handle) return text("generate: open a bundle first");
  if (into->handle) return text("generate: this MotionrtMotion is made already; give a new one");
  mrt_generate_options_init(&options);
  options.progress = listen;
  options.progress_user = self;
  chosen = gd.variant_as_dictionary(arguments[2]);
  keys = gd.dictionary_keys(&chosen);
  num_options = gd.array_size(&keys);
  kept = calloc(num_options ? (size_t)num_options : 1, sizeof *kept);
  for (int i = 0; kept && i < num_options && !*line; i++) {
    gd_variant key = gd.array_get(&keys, i), value = gd.dictionary_get(&chosen, &key);
    char *name = utf8_of(&key);
    set_option(&options, name ? name : "", &value, &kept[i], line, sizeof line);
    free(name);
    gd.variant_destroy(&value);
    gd.variant_destroy(&key);
  }
  gd.array_destroy(&keys);
  gd.dictionary_destroy(&chosen);
  prompt = utf8_of(arguments[1]);
  atomic_store(&self->cancelled, false);
  atomic_store(&self->done, 0);
  if (!kept || !prompt) {
    result = text("generate: out of memory");
  } else if (*line) {
    result = text(line);
  } else if ((status = mrt_generate(self->handle, prompt, &options, &made)) != MRT_OK) {
    result = outcome(status);
  } else {
    into->handle = made;
    mrt_motion_info_init(&into->info);
    result = outcome(mrt_motion_get_info(made, &into->info));
  }
  free(prompt);
  for (int i = 0; kept && i < num_options; i++) free(kept[i]);
  free(kept);
  return result;
}

/* cancel(): the call that runs in another thread ends within one step. */
static gd_variant pipeline_cancel(gd_object *instance, void *data, void *given, int count,
                                  gd_variant **arguments) {
  pipeline *self = given;
  (void)instance, (void)data, (void)count, (void)arguments;
  atomic_store(&self->cancelled, true);
  return none();
}

/* get_progress() -> float, from 0 to 1, of the call that runs in another thread */
static gd_variant pipeline_get_progress(gd_object *instance, void *data, void *given, int count,
                                        gd_variant **arguments) {
  pipeline *self = given;
  int total = atomic_load(&self->total);
  (void)instance, (void)data, (void)count, (void)arguments;
  return number(total ? (double)atomic_load(&self->done) / total : 0);
}

/* ---- MotionrtMotion: metres, y up, +z ahead, as Godot's models are; quaternions here x y z w ---- */

static void *motion_create(gd_object *instance, void *data) {
  motion *self = calloc(1, sizeof *self);
  (void)instance, (void)data;
  if (self) self->kind = MOTION;
  return self;
}

static void motion_destroy(gd_object *instance, void *data, void *given) {
  motion *self = given;
  (void)instance, (void)data;
  if (self) mrt_motion_free(self->handle);
  free(self);
}

static gd_variant motion_get_seconds(gd_object *instance, void *data, void *given, int count,
                                     gd_variant **arguments) {
  (void)instance, (void)data, (void)count, (void)arguments;
  return number(((motion *)given)->info.seconds);
}

static gd_variant motion_get_fps(gd_object *instance, void *data, void *given, int count,
                                 gd_variant **arguments) {
  (void)instance, (void)data, (void)count, (void)arguments;
  return number(((motion *)given)->info.fps);
}

/* get_joint_names() -> PoolStringArray */
static gd_variant motion_get_joint_names(gd_object *instance, void *data, void *given, int count,
                                         gd_variant **arguments) {
  const mrt_skeleton *skeleton = mrt_motion_skeleton(((motion *)given)->handle);
  gd_handle names;
  gd_variant made;
  (void)instance, (void)data, (void)count, (void)arguments;
  gd.pool_string_array_new(&names);
  for (int32_t j = 0; j < mrt_skeleton_num_joints(skeleton); j++) {
    gd_handle name = gd.string_chars_to_utf8(mrt_skeleton_joint_name(skeleton, j));
    gd.pool_string_array_append(&names, &name);
    gd.string_destroy(&name);
  }
  gd.variant_new_pool_string_array(&made, &names);
  gd.pool_string_array_destroy(&names);
  return made;
}

/* get_parents() -> PoolIntArray, -1 for the root */
static gd_variant motion_get_parents(gd_object *instance, void *data, void *given, int count,
                                     gd_variant **arguments) {
  const mrt_skeleton *skeleton = mrt_motion_skeleton(((motion *)given)->handle);
  gd_handle parents;
  gd_variant made;
  (void)instance, (void)data, (void)count, (void)arguments;
  gd.pool_int_array_new(&parents);
  for (int32_t j = 0; j < mrt_skeleton_num_joints(skeleton); j++)
    gd.pool_int_array_append(&parents, mrt_skeleton_parents(skeleton)[j]);
  gd.variant_new_pool_int_array(&made, &parents);
  gd.pool_int_array_destroy(&parents);
  return made;
}

/* get_rest_offsets() -> PoolVector3Array, from the parent */
static gd_variant motion_get_rest_offsets(gd_object *instance, void *data, void *given, int count,
                                          gd_variant **arguments) {
  const mrt_skeleton *skeleton = mrt_motion_skeleton(((motion *)given)->handle);
  gd_handle offsets;
  gd_variant made;
  (void)instance, (void)data, (void)count, (void)arguments;
  gd.pool_vector3_array_new(&offsets);
  for (int32_t j = 0; j < mrt_skeleton_num_joints(skeleton); j++) {
    const float *from = mrt_skeleton_rest_offsets(skeleton) + 3 * j;
    gd_vector3 offset = {from[0], from[1], from[2]};
    gd.pool_vector3_array_append(&offsets, &offset);
  }
  gd.variant_new_pool_vector3_array(&made, &offsets);
  gd.pool_vector3_array_destroy(&offsets);
  return made;
}

/* sample(seconds: float, flags: int) -> PoolRealArray: the root's place (3), then x y z w of each
 * joint's rotation from its parent. Empty before anything was generated. */
static gd_variant motion_sample(gd_object *instance, void *data, void *given, int count,
                                gd_variant **arguments) {
  motion *self = given;
  int32_t joints = self->info.num_joints;
  gd_handle numbers;
  gd_access *access;
  gd_variant made;
  (void)instance, (void)data;
  gd.pool_real_array_new(&numbers);
  if (self->handle && count == 2 && is_number(arguments[0]) && is_number(arguments[1])) {
    float *pose;
    gd.pool_real_array_resize(&numbers, 3 + 4 * joints);
    access = gd.pool_real_array_write(&numbers);
    pose = gd.pool_real_array_write_access_ptr(access);
    memset(pose, 0, (3 + 4 * (size_t)joints) * sizeof *pose);
    if (mrt_motion_sample(self->handle, gd.variant_as_real(arguments[0]),
                          (uint32_t)gd.variant_as_int(arguments[1]), pose, pose + 3) == MRT_OK)
      for (float *q = pose + 3; q < pose + 3 + 4 * joints; q += 4) {
        float w = q[0];
        memmove(q, q + 1, 3 * sizeof *q);
        q[3] = w;
      }
    gd.pool_real_array_write_access_destroy(access);
  }
  gd.variant_new_pool_real_array(&made, &numbers);
  gd.pool_real_array_destroy(&numbers);
  return made;
}

/* get_root_motion(from: float, to: float, flags: int) -> Transform: what the character's own
 * transform is multiplied by, from the right, as with AnimationTree.get_root_motion_transform() */
static gd_variant motion_get_root_motion(gd_object *instance, void *data, void *given, int count,
                                         gd_variant **arguments) {
  motion *self = given;
  gd_transform delta = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, {0, 0, 0}};
  gd_variant made;
  float turn = 0;
  (void)instance, (void)data;
  if (self->handle && count == 3 && is_number(arguments[0]) && is_number(arguments[1]) &&
      is_number(arguments[2]) &&
      mrt_motion_root_delta(self->handle, gd.variant_as_real(arguments[0]),
                            gd.variant_as_real(arguments[1]),
                            (uint32_t)gd.variant_as_int(arguments[2]), delta.origin,
                            &turn) == MRT_OK) {
    float c = cosf(turn), s = sinf(turn);
    delta.rows[0][0] = delta.rows[2][2] = c;
    delta.rows[0][2] = s;
    delta.rows[2][0] = -s;
  }
  gd.variant_new_transform(&made, &delta);
  return made;
}

/* save(path: String) -> String: a .bvh or .glb file */
static gd_variant motion_save(gd_object *instance, void *data, void *given, int count,
                              gd_variant **arguments) {
  motion *self = given;
  gd_variant result;
  char *path;
  (void)instance, (void)data;
  if (!self->handle || count != 1 || !is(arguments[0], GD_STRING))
    return text("save: a path is wanted, and a motion that was generated");
  path = utf8_of(arguments[0]);
  result = outcome(mrt_motion_save(self->handle, path));
  free(path);
  return result;
}

/* ---- What Godot calls ---- */

GD_EXPORT void godot_gdnative_init(gd_init_options *options) {
  const gd_core_table *core = options->core;
#define TAKE(name, place, result, arguments) \
  gd.name = (result(*) arguments)core->functions[place];
  GD_CORE(TAKE)
  for (unsigned i = 0; i < core->num_extensions; i++)
    if (core->extensions[i]->type == GD_NATIVESCRIPT)
      nativescript = (const gd_nativescript_table *)core->extensions[i];
}

GD_EXPORT void godot_gdnative_terminate(void *options) { (void)options; }

GD_EXPORT void godot_nativescript_init(void *library) {
  static const struct {
    const char *class_name, *name;
    gd_variant (*run)(gd_object *, void *, void *, int, gd_variant **);
  } methods[] = {
      {"MotionrtPipeline", "open", pipeline_open},
      {"MotionrtPipeline", "open_files", pipeline_open_files},
      {"MotionrtPipeline", "generate", pipeline_generate},
      {"MotionrtPipeline", "cancel", pipeline_cancel},
      {"MotionrtPipeline", "get_progress", pipeline_get_progress},
      {"MotionrtMotion", "get_seconds", motion_get_seconds},
      {"MotionrtMotion", "get_fps", motion_get_fps},
      {"MotionrtMotion", "get_joint_names", motion_get_joint_names},
      {"MotionrtMotion", "get_parents", motion_get_parents},
      {"MotionrtMotion", "get_rest_offsets", motion_get_rest_offsets},
      {"MotionrtMotion", "sample", motion_sample},
      {"MotionrtMotion", "get_root_motion", motion_get_root_motion},
      {"MotionrtMotion", "save", motion_save},
  };
  gd_create create_pipeline = {pipeline_create, NULL, NULL};
  gd_create create_motion = {motion_create, NULL, NULL};
  gd_destroy destroy_pipeline = {pipeline_destroy, NULL, NULL};
  gd_destroy destroy_motion = {motion_destroy, NULL, NULL};
  gd_method_attributes local = {0};
  nativescript->register_class(library, "MotionrtPipeline", "Reference", create_pipeline,
                               destroy_pipeline);
  nativescript->register_class(library, "MotionrtMotion", "Reference", create_motion,
                               destroy_motion);
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    gd_method method = {methods[i].run, NULL, NULL};
    nativescript->register_method(library, methods[i].class_name, methods[i].name, local, method);
  }
}
