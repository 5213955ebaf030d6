/* The part of Godot 3's GDNative interface that the addon uses, so that it builds without Godot's
 * headers. Godot hands a library one table of functions; the numbers below are their places in the
 * table of its core API 1.0, which all of Godot 3 has. */
#ifndef MOTIONRT_GDNATIVE_H
#define MOTIONRT_GDNATIVE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef _WIN32
#define GD_EXPORT __declspec(dllexport)
#else
#define GD_EXPORT __attribute__((visibility("default")))
#endif

/* String, CharString, Array, Dictionary and pool arrays: each is one pointer of Godot's. */
typedef struct gd_handle {
  void *inner;
} gd_handle;
typedef struct gd_variant {
  int64_t inner[3];
} gd_variant;
/* Rows of the rotation, then the origin. */
typedef struct gd_transform {
  float rows[3][3], origin[3];
} gd_transform;
typedef struct gd_vector3 {
  float x, y, z;
} gd_vector3;
typedef void gd_object;
typedef void gd_access; /* to a pool array's numbers */

enum gd_type {
  GD_NIL = 0,
  GD_INT = 2,
  GD_REAL = 3,
  GD_STRING = 4,
  GD_OBJECT = 17,
  GD_DICTIONARY = 18,
  GD_POOL_BYTE_ARRAY = 20
};

/* X(name, place, result, arguments) */
#define GD_CORE(X)                                                                        \
  X(pool_byte_array_read, 165, gd_access *, (const gd_handle *))                          \
  X(pool_byte_array_size, 169, int, (const gd_handle *))                                  \
  X(pool_byte_array_destroy, 170, void, (gd_handle *))                                    \
  X(pool_int_array_new, 171, void, (gd_handle *))                                         \
  X(pool_int_array_append, 174, void, (gd_handle *, int))                                 \
  X(pool_int_array_destroy, 186, void, (gd_handle *))                                     \
  X(pool_real_array_new, 187, void, (gd_handle *))                                        \
  X(pool_real_array_resize, 196, void, (gd_handle *, int))                                \
  X(pool_real_array_write, 198, gd_access *, (gd_handle *))                               \
  X(pool_real_array_destroy, 202, void, (gd_handle *))                                    \
  X(pool_string_array_new, 203, void, (gd_handle *))                                      \
  X(pool_string_array_append, 206, void, (gd_handle *, const gd_handle *))                \
  X(pool_string_array_destroy, 218, void, (gd_handle *))                                  \
  X(pool_vector3_array_new, 235, void, (gd_handle *))                                     \
  X(pool_vector3_array_append, 238, void, (gd_handle *, const gd_vector3 *))              \
  X(pool_vector3_array_destroy, 250, void, (gd_handle *))                                 \
  X(pool_byte_array_read_access_ptr, 268, const uint8_t *, (const gd_access *))           \
  X(pool_byte_array_read_access_destroy, 270, void, (gd_access *))                        \
  X(pool_real_array_write_access_ptr, 304, float *, (const gd_access *))                  \
  X(pool_real_array_write_access_destroy, 306, void, (gd_access *))                       \
  X(array_get, 333, gd_variant, (const gd_handle *, int))                                 \
  X(array_size, 356, int, (const gd_handle *))                                            \
  X(array_destroy, 361, void, (gd_handle *))                                              \
  X(dictionary_destroy, 364, void, (gd_handle *))                                         \
  X(dictionary_keys, 372, gd_handle, (const gd_handle *))                                 \
  X(dictionary_get, 374, gd_variant, (const gd_handle *, const gd_variant *))             \
  X(variant_get_type, 507, int, (const gd_variant *))                                     \
  X(variant_new_nil, 509, void, (gd_variant *))                                           \
  X(variant_new_int, 512, void, (gd_variant *, int64_t))                                  \
  X(variant_new_real, 513, void, (gd_variant *, double))                                  \
  X(variant_new_string, 514, void, (gd_variant *, const gd_handle *))                     \
  X(variant_new_transform, 523, void, (gd_variant *, const gd_transform *))               \
  X(variant_new_pool_int_array, 531, void, (gd_variant *, const gd_handle *))             \
  X(variant_new_pool_real_array, 532, void, (gd_variant *, const gd_handle *))            \
  X(variant_new_pool_string_array, 533, void, (gd_variant *, const gd_handle *))          \
  X(variant_new_pool_vector3_array, 535, void, (gd_variant *, const gd_handle *))         \
  X(variant_as_int, 539, int64_t, (const gd_variant *))                                   \
  X(variant_as_real, 540, double, (const gd_variant *))                                   \
  X(variant_as_string, 541, gd_handle, (const gd_variant *))                              \
  X(variant_as_object, 554, gd_object *, (const gd_variant *))                            \
  X(variant_as_dictionary, 555, gd_handle, (const gd_variant *))                          \
  X(variant_as_pool_byte_array, 557, gd_handle, (const gd_variant *))                     \
  X(variant_destroy, 570, void, (gd_variant *))                                           \
  X(char_string_get_data, 572, const char *, (const gd_handle *))                         \
  X(char_string_destroy, 573, void, (gd_handle *))                                        \
  X(string_utf8, 678, gd_handle, (const gd_handle *))                                     \
  X(string_chars_to_utf8, 681, gd_handle, (const char *))                                 \
  X(string_destroy, 721, void, (gd_handle *))

typedef void (*gd_function)(void);

typedef struct gd_version {
  unsigned major, minor;
} gd_version;

/* What every table begins with. */
typedef struct gd_table {
  unsigned type;
  gd_version version;
  const struct gd_table *next;
} gd_table;

typedef struct gd_core_table {
  gd_table head;
  unsigned num_extensions;
  const gd_table *const *extensions;
  gd_function functions[744];
} gd_core_table;

typedef struct gd_init_options {
  bool in_editor;
  uint64_t core_api_hash, editor_api_hash, no_api_hash;
  void (*report_version_mismatch)(const gd_object *library, const char *what, gd_version wanted,
                                  gd_version found);
  void (*report_loading_error)(const gd_object *library, const char *what);
  gd_object *library;
  const gd_core_table *core;
  const gd_handle *active_library_path;
} gd_init_options;

/* ---- Classes in native code: the extension "nativescript" ---- */

enum { GD_NATIVESCRIPT = 1 };

typedef struct gd_create {
  void *(*run)(gd_object *instance, void *method_data);
  void *method_data;
  void (*free)(void *method_data);
} gd_create;
typedef struct gd_destroy {
  void (*run)(gd_object *instance, void *method_data, void *self);
  void *method_data;
  void (*free)(void *method_data);
} gd_destroy;
typedef struct gd_method {
  gd_variant (*run)(gd_object *instance, void *method_data, void *self, int num_arguments,
                    gd_variant **arguments);
  void *method_data;
  void (*free)(void *method_data);
} gd_method;
typedef struct gd_method_attributes {
  int remote; /* 0: not called from other machines */
} gd_method_attributes;

typedef struct gd_nativescript_table {
  gd_table head;
  void (*register_class)(void *library, const char *name, const char *base, gd_create create,
                         gd_destroy destroy);
  void (*register_tool_class)(void *library, const char *name, const char *base, gd_create create,
                              gd_destroy destroy);
  void (*register_method)(void *library, const char *class_name, const char *name,
                          gd_method_attributes attributes, gd_method method);
  gd_function register_property, register_signal;
  void *(*get_userdata)(gd_object *instance);
} gd_nativescript_table;

#endif
