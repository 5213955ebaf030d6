#if !defined(_WIN32)
#define _GNU_SOURCE /* dl_iterate_phdr, dladdr */
#endif
#include "ort.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "lock.h"
#include "runner.h"

#if defined(_WIN32)
#include <windows.h>
#define ORT_CALL __stdcall
typedef wchar_t ort_char;
#else
#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#define ORT_CALL
typedef char ort_char;
#endif
#if defined(__APPLE__)
#include <mach-o/dyld.h>
#elif !defined(_WIN32)
#include <link.h>
#endif

typedef struct ort_status ort_status;
typedef struct ort_env ort_env;
typedef struct ort_options ort_options;
typedef struct ort_value ort_value;
typedef struct ort_memory_info ort_memory_info;
typedef struct ort_shape ort_shape;
typedef struct ort_native_session ort_native_session;
typedef void(ORT_CALL *ort_function)(void);

typedef struct ort_base {
  const ort_function *(ORT_CALL *get_api)(uint32_t version);
  const char *(ORT_CALL *get_version)(void);
} ort_base;

struct ort_session {
  const runner_graph *runner; /* instead of what follows */
  ort_native_session *native;
  const char *place;
};

/* Places in the table; functions are only ever added behind the last. */
enum {
  GET_ERROR_MESSAGE = 2,
  CREATE_ENV_WITH_CUSTOM_LOGGER = 4,
  DISABLE_TELEMETRY_EVENTS = 6,
  CREATE_SESSION = 7,
  CREATE_SESSION_FROM_ARRAY = 8,
  RUN = 9,
  CREATE_SESSION_OPTIONS = 10,
  DISABLE_MEM_PATTERN = 17,
  SET_LOG_SEVERITY = 22,
  SET_INTRA_OP_NUM_THREADS = 24,
  CREATE_TENSOR_WITH_DATA = 49,
  GET_TENSOR_MUTABLE_DATA = 51,
  GET_TENSOR_ELEMENT_TYPE = 60,
  GET_DIMENSIONS_COUNT = 61,
  GET_DIMENSIONS = 62,
  GET_TENSOR_TYPE_AND_SHAPE = 65,
  CREATE_CPU_MEMORY_INFO = 69,
  RELEASE_STATUS = 93,
  RELEASE_SESSION = 95,
  RELEASE_VALUE = 96,
  RELEASE_TENSOR_TYPE_AND_SHAPE = 99,
  RELEASE_SESSION_OPTIONS = 100,
  GET_AVAILABLE_PROVIDERS = 125,
  RELEASE_AVAILABLE_PROVIDERS = 126,
  ADD_SESSION_CONFIG_ENTRY = 130,
  APPEND_EXECUTION_PROVIDER = 216,
  ADD_EXTERNAL_INITIALIZERS_FROM_FILES_IN_MEMORY = 279 /* from version 18 on */
};
#define OLDEST_VERSION 16
#define VERSION_WITH_MEMORY 18

static struct {
  const ort_function *table;
  const char *version;
  uint32_t api_version;
  const char *path;
  ort_env *env;
  ort_memory_info *memory;
  char **providers;
  int num_providers;
} ort;
static lock loading = LOCK_INIT;

/* Call a function of the table by its place and its type. */
#define ORT(place, type) ((type)ort.table[place])

typedef const char *(ORT_CALL *message_fn)(const ort_status *);
typedef void(ORT_CALL *release_fn)(void *);
typedef void(ORT_CALL *logging_fn)(void *, int, const char *, const char *, const char *,
                                   const char *);
typedef ort_status *(ORT_CALL *create_env_fn)(logging_fn, void *, int, const char *, ort_env **);
typedef ort_status *(ORT_CALL *on_env_fn)(const ort_env *);
typedef ort_status *(ORT_CALL *create_session_fn)(const ort_env *, const ort_char *,
                                                  const ort_options *, ort_native_session **);
typedef ort_status *(ORT_CALL *create_from_array_fn)(const ort_env *, const void *, size_t,
                                                     const ort_options *, ort_native_session **);
typedef ort_status *(ORT_CALL *run_fn)(ort_native_session *, const void *, const char *const *,
                                       const ort_value *const *, size_t, const char *const *,
                                       size_t, ort_value **);
typedef ort_status *(ORT_CALL *create_options_fn)(ort_options **);
typedef ort_status *(ORT_CALL *set_int_fn)(ort_options *, int);
typedef ort_status *(ORT_CALL *on_options_fn)(ort_options *);
typedef ort_status *(ORT_CALL *add_entry_fn)(ort_options *, const char *, const char *);
typedef ort_status *(ORT_CALL *append_fn)(ort_options *, const char *, const char *const *,
                                          const char *const *, size_t);
typedef ort_status *(ORT_CALL *add_files_fn)(ort_options *, const ort_char *const *, char *const *,
                                             const size_t *, size_t);
typedef ort_status *(ORT_CALL *create_tensor_fn)(const ort_memory_info *, void *, size_t,
                                                 const int64_t *, size_t, int, ort_value **);
typedef ort_status *(ORT_CALL *get_data_fn)(ort_value *, void **);
typedef ort_status *(ORT_CALL *get_shape_fn)(const ort_value *, ort_shape **);
typedef ort_status *(ORT_CALL *get_type_fn)(const ort_shape *, int *);
typedef ort_status *(ORT_CALL *get_rank_fn)(const ort_shape *, size_t *);
typedef ort_status *(ORT_CALL *get_dims_fn)(const ort_shape *, int64_t *, size_t);
typedef ort_status *(ORT_CALL *memory_info_fn)(int, int, ort_memory_info **);
typedef ort_status *(ORT_CALL *providers_fn)(char ***, int *);

static void check(call *c, ort_status *status, const char *what) {
  char reason[512];
  if (!status) return;
  snprintf(reason, sizeof reason, "%s", ORT(GET_ERROR_MESSAGE, message_fn)(status));
  ORT(RELEASE_STATUS, release_fn)(status);
  fail(c, MRT_NO_BACKEND, "%s: %s", what, reason);
}

static void ORT_CALL on_log(void *user, int severity, const char *category, const char *id,
                            const char *place, const char *message) {
  (void)user, (void)category, (void)id, (void)place;
  log_line(severity >= 3 ? MRT_LOG_ERROR : MRT_LOG_WARNING, "onnxruntime: %s", message);
}

/* ---- Finding the library ---- */

typedef const ort_base *(ORT_CALL *get_base_fn)(void);

#if defined(_WIN32)
typedef HMODULE library;

static wchar_t *wide(call *c, const char *text) {
  int count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
  wchar_t *result;
  if (count <= 0) fail(c, MRT_BAD_ARGUMENT, "a path is not UTF-8");
  result = TEMP(c, wchar_t, count);
  MultiByteToWideChar(CP_UTF8, 0, text, -1, result, count);
  return result;
}

static library open_library(call *c, const char *path) {
  return LoadLibraryExW(wide(c, path), NULL,
                        strchr(path, '/') || strchr(path, '\\') ? LOAD_WITH_ALTERED_SEARCH_PATH : 0);
}

static get_base_fn entry(library handle) {
  return (get_base_fn)(void *)GetProcAddress(handle, "OrtGetApiBase");
}

static library loaded_library(call *c) {
  (void)c;
  return GetModuleHandleW(L"onnxruntime.dll");
}

static char *own_folder(call *c) {
  HMODULE self;
  wchar_t place[MAX_PATH];
  char *name;
  int count;
  if (!GetModuleHandleExW(
          GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
          (LPCWSTR)(void *)&ort, &self) ||
      !GetModuleFileNameW(self, place, MAX_PATH))
    return NULL;
  count = WideCharToMultiByte(CP_UTF8, 0, place, -1, NULL, 0, NULL, NULL);
  name = TEMP(c, char, count + 1);
  WideCharToMultiByte(CP_UTF8, 0, place, -1, name, count, NULL, NULL);
  return path_folder(c, &c->memory, name);
}

static const char *const library_names[] = {"onnxruntime.dll", NULL};
#else
typedef void *library;

static library open_library(call *c, const char *path) {
  (void)c;
  return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static get_base_fn entry(library handle) {
  union {
    void *object;
    get_base_fn function;
  } found;
  found.object = dlsym(handle, "OrtGetApiBase");
  return found.function;
}

#if defined(__APPLE__)
static const char *const library_names[] = {"libonnxruntime.dylib", NULL};

static library loaded_library(call *c) {
  uint32_t i;
  (void)c;
  for (i = 0; i < _dyld_image_count(); i++) {
    const char *name = _dyld_get_image_name(i);
    if (strstr(name, "libonnxruntime.")) return dlopen(name, RTLD_NOW | RTLD_NOLOAD);
  }
  return NULL;
}
#else
static const char *const library_names[] = {"libonnxruntime.so", "libonnxruntime.so.1", NULL};

static int note_library(struct dl_phdr_info *info, size_t size, void *found) {
  (void)size;
  if (!info->dlpi_name || !strstr(info->dlpi_name, "/libonnxruntime.so")) return 0;
  snprintf(found, PATH_MAX, "%s", info->dlpi_name);
  return 1;
}

static library loaded_library(call *c) {
  char *name = TEMP(c, char, PATH_MAX);
  if (dlsym(RTLD_DEFAULT, "OrtGetApiBase")) return dlopen(NULL, RTLD_NOW);
  if (!dl_iterate_phdr(note_library, name)) return NULL;
  return dlopen(name, RTLD_NOW | RTLD_NOLOAD);
}
#endif

static char *own_folder(call *c) {
  Dl_info about;
  if (!dladdr((void *)&ort, &about) || !about.dli_fname) return NULL;
  return path_folder(c, &c->memory, about.dli_fname);
}
#endif

/* The library of an onnxruntime package below a Python installation's folder; NULL if none. */
static const char *in_python(call *c, const char *folder) {
#if defined(_WIN32)
  char *path =
      arena_print(c, &c->memory, "%s/Lib/site-packages/onnxruntime/capi/onnxruntime.dll", folder);
  return file_exists(path) ? path : NULL;
#else
  static const char *const kinds[] = {"site-packages", "dist-packages"};
  size_t kind;
  for (kind = 0; kind < 2; kind++) {
    const char *found = NULL;
    glob_t names;
    char *pattern = arena_print(c, &c->memory, "%s/lib*/python3*/%s/onnxruntime/capi/%s", folder,
                                kinds[kind],
#if defined(__APPLE__)
                                "libonnxruntime.*.dylib"
#else
                                "libonnxruntime.so.*"
#endif
    );
    if (!glob(pattern, 0, NULL, &names) && names.gl_pathc) {
      const char *last = names.gl_pathv[names.gl_pathc - 1];
      found = arena_copy(c, &c->memory, last, strlen(last));
    }
    globfree(&names);
    if (found) return found;
  }
  return NULL;
#endif
}

/* The folder above that of the first `python3` in PATH. */
static const char *python_in_path(call *c) {
#if defined(_WIN32)
  static const char *const program = "python.exe";
  const char separator = ';';
#else
  static const char *const program = "python3";
  const char separator = ':';
#endif
  const char *at = getenv("PATH");
  while (at && *at) {
    const char *end = strchr(at, separator);
    size_t length = end ? (size_t)(end - at) : strlen(at);
    char *folder = arena_copy(c, &c->memory, at, length);
    char *place = path_join(c, &c->memory, folder, program);
    if (length && file_exists(place)) {
#if defined(_WIN32)
      return folder;
#else
      char *real = realpath(place, NULL);
      const char *result = NULL;
      /* A virtual environment's python3 is a link out of it: its own folder comes first. */
      result = in_python(c, path_folder(c, &c->memory, folder));
      if (!result && real) {
        char *above = path_folder(c, &c->memory, path_folder(c, &c->memory, real));
        result = in_python(c, above);
      }
      free(real);
      return result;
#endif
    }
    at = end ? end + 1 : NULL;
  }
  return NULL;
}

static library find_library(call *c, const char **path) {
  const char *named = getenv("MOTIONRT_ONNXRUNTIME");
  const char *environment = getenv("VIRTUAL_ENV");
  char *folder;
  library handle;
  int i;
  if (*path || (named && *named)) {
    const char *wanted = *path ? *path : named;
    handle = *path ? NULL : loaded_library(c);
    if (handle) {
      *path = "the one that this process had loaded";
      return handle;
    }
    handle = open_library(c, wanted);
    if (!handle)
#if defined(_WIN32)
      fail(c, MRT_NO_BACKEND, "%s: cannot be loaded (error %lu)", wanted, GetLastError());
#else
      fail(c, MRT_NO_BACKEND, "%s: cannot be loaded (%s)", wanted, dlerror());
#endif
    *path = wanted;
    return handle;
  }
  if ((handle = loaded_library(c))) {
    *path = "the one that this process had loaded";
    return handle;
  }
  folder = own_folder(c);
  for (i = 0; folder && library_names[i]; i++) {
    *path = path_join(c, &c->memory, folder, library_names[i]);
    if (file_exists(*path) && (handle = open_library(c, *path))) return handle;
  }
  for (i = 0; library_names[i]; i++) {
    *path = library_names[i];
    if ((handle = open_library(c, *path))) return handle;
  }
  if (environment && *environment && (*path = in_python(c, environment)) &&
      (handle = open_library(c, *path)))
    return handle;
#if defined(_WIN32)
  folder = (char *)python_in_path(c);
  *path = folder ? in_python(c, folder) : NULL;
#else
  *path = python_in_path(c);
#endif
  if (*path && (handle = open_library(c, *path))) return handle;
  fail(c, MRT_NO_BACKEND,
       "ONNX Runtime is not found; put its library beside motionrt's, name it in "
       "MOTIONRT_ONNXRUNTIME, or: pip install onnxruntime");
}

static void silence_telemetry(void) {
  /* From version 1.32 on it writes files at start unless this is set before. */
#if defined(_WIN32)
  if (!getenv("ORT_DISABLE_TELEMETRY")) _putenv_s("ORT_DISABLE_TELEMETRY", "1");
#else
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);
#endif
}

static void load(call *c, void *arguments) {
  const char *path = arguments;
  library handle;
  get_base_fn get_base;
  const ort_base *base;
  unsigned major = 0, minor = 0;
  ort_env *env = NULL;
  if (ort.env) {
    if (path && strcmp(path, ort.path))
      fail(c, MRT_NO_BACKEND, "%s: ONNX Runtime is loaded already (%s)", path, ort.path);
    return;
  }
  silence_telemetry();
  handle = find_library(c, &path);
  get_base = entry(handle);
  base = get_base ? get_base() : NULL;
  if (!base) fail(c, MRT_NO_BACKEND, "%s: is not ONNX Runtime", path);
  sscanf(base->get_version(), "%u.%u", &major, &minor);
  if (major != 1 || minor < OLDEST_VERSION)
    fail(c, MRT_NO_BACKEND, "%s: ONNX Runtime %s, 1.%d or newer is needed", path,
         base->get_version(), OLDEST_VERSION);
  ort.api_version = minor < VERSION_WITH_MEMORY ? OLDEST_VERSION : VERSION_WITH_MEMORY;
  ort.table = base->get_api(ort.api_version);
  if (!ort.table) fail(c, MRT_NO_BACKEND, "%s: gives no functions", path);
  check(c, ORT(CREATE_ENV_WITH_CUSTOM_LOGGER, create_env_fn)(on_log, NULL, 3, "motionrt", &env),
        "ONNX Runtime");
  check(c, ORT(DISABLE_TELEMETRY_EVENTS, on_env_fn)(env), "ONNX Runtime");
  check(c, ORT(CREATE_CPU_MEMORY_INFO, memory_info_fn)(0, 0, &ort.memory), "ONNX Runtime");
  check(c, ORT(GET_AVAILABLE_PROVIDERS, providers_fn)(&ort.providers, &ort.num_providers),
        "ONNX Runtime");
  {
    /* Kept until the process ends, as the library is: it cannot be unloaded safely. */
    char *kept = malloc(strlen(path) + 1);
    if (!kept) fail(c, MRT_NO_MEMORY, "out of memory");
    strcpy(kept, path);
    ort.path = kept;
  }
  ort.version = base->get_version();
  ort.env = env;
  log_line(MRT_LOG_INFO, "ONNX Runtime %s from %s", ort.version, ort.path);
}

void ort_load(call *c, const char *path) {
  /* A call of its own, so that the lock is given back whatever happens. */
  mrt_status status;
  lock_take(&loading);
  status = call_run(load, (void *)path);
  lock_give(&loading);
  if (status != MRT_OK) {
    char line[1024];
    snprintf(line, sizeof line, "%s", last_error());
    fail(c, status, "%s", line);
  }
}

const char *mrt_onnxruntime_version(void) {
  const char *version;
  lock_take(&loading);
  version = ort.version;
  lock_give(&loading);
  return version;
}

static void load_alone(call *c, void *path) { ort_load(c, path); }

mrt_status mrt_onnxruntime_load(const char *path) { return call_run(load_alone, (void *)path); }

/* ---- Backends ---- */

static const struct {
  const char *name, *provider, *short_name;
} backends[] = {
    {"cpu", "CPUExecutionProvider", NULL},
    {"cuda", "CUDAExecutionProvider", "CUDA"},
    {"directml", "DmlExecutionProvider", "DML"},
    {"coreml", "CoreMLExecutionProvider", "CoreML"},
};
#define NUM_BACKENDS ((int32_t)(sizeof backends / sizeof *backends))

static bool offered(int32_t backend) {
  int i;
  for (i = 0; i < ort.num_providers; i++)
    if (!strcmp(ort.providers[i], backends[backend].provider)) return true;
  return false;
}

const char *ort_backend(int32_t index) {
  int32_t i;
  if (!ort.env) return NULL;
  for (i = 0; i < NUM_BACKENDS; i++)
    if (offered(i) && index-- == 0) return backends[i].name;
  return NULL;
}

static int32_t find_backend(call *c, const char *name) {
  int32_t i;
  for (i = 0; i < NUM_BACKENDS; i++)
    if (!strcmp(backends[i].name, name)) break;
  if (i == NUM_BACKENDS)
    fail(c, MRT_BAD_ARGUMENT, "backend \"%s\": there are cpu, cuda, directml and coreml", name);
  if (!offered(i))
    fail(c, MRT_NO_BACKEND, "backend %s: the ONNX Runtime that is loaded (%s) has none", name,
         ort.path);
  return i;
}

void ort_check_backend(call *c, const char *backend) { find_backend(c, backend); }

/* ---- Sessions ---- */

static void release_options(void *what) { ORT(RELEASE_SESSION_OPTIONS, release_fn)(what); }
static void release_session(void *what) { ORT(RELEASE_SESSION, release_fn)(what); }
static void release_value(void *what) { ORT(RELEASE_VALUE, release_fn)(what); }
static void release_shape(void *what) { ORT(RELEASE_TENSOR_TYPE_AND_SHAPE, release_fn)(what); }

static ort_options *make_options(call *c, const session_options *given) {
  ort_options *options = NULL;
  int32_t backend = find_backend(c, given->backend);
  check(c, ORT(CREATE_SESSION_OPTIONS, create_options_fn)(&options), "ONNX Runtime");
  arena_defer(c, &c->memory, release_options, options);
  check(c, ORT(SET_LOG_SEVERITY, set_int_fn)(options, 3), "ONNX Runtime");
  if (given->threads > 0)
    check(c, ORT(SET_INTRA_OP_NUM_THREADS, set_int_fn)(options, given->threads), "threads");
  if (backend == 0) {
    /* The same settings as the Python package's, for the same reasons and the same numbers. */
    check(c,
          ORT(ADD_SESSION_CONFIG_ENTRY, add_entry_fn)(
              options, "optimization.disable_specified_optimizers",
              given->unpack_each_run ? "SkipLayerNormFusion;ConstantFolding"
                                     : "SkipLayerNormFusion"),
          "ONNX Runtime");
    check(c, ORT(ADD_SESSION_CONFIG_ENTRY, add_entry_fn)(options, "session.force_spinning_stop", "1"),
          "ONNX Runtime");
    check(c, ORT(DISABLE_MEM_PATTERN, on_options_fn)(options), "ONNX Runtime");
  } else {
    check(c,
          ORT(APPEND_EXECUTION_PROVIDER, append_fn)(options, backends[backend].short_name, NULL,
                                                    NULL, 0),
          given->backend);
  }
  return options;
}

static ort_session *keep_session(call *c, arena *from, const char *place) {
  ort_session *session = TAKE(c, from, ort_session, 1);
  session->place = arena_copy(c, from, place, strlen(place));
  return session;
}

ort_session *session_open(call *c, arena *from, const char *path, const session_options *given) {
  ort_options *options = make_options(c, given);
  ort_session *session = keep_session(c, from, path);
#if defined(_WIN32)
  const ort_char *name = wide(c, path);
#else
  const ort_char *name = path;
#endif
  check(c, ORT(CREATE_SESSION, create_session_fn)(ort.env, name, options, &session->native), path);
  arena_defer(c, from, release_session, session->native);
  return session;
}

ort_session *session_open_bytes(call *c, arena *from, named_bytes graph, const named_bytes *data,
                                size_t num_data, const session_options *given) {
  ort_options *options = make_options(c, given);
  ort_session *session = keep_session(c, from, graph.name);
  const ort_char **names = TEMP(c, const ort_char *, num_data);
  char **bytes = TEMP(c, char *, num_data);
  size_t *sizes = TEMP(c, size_t, num_data), i;
  if (num_data) {
    if (ort.api_version < VERSION_WITH_MEMORY)
      fail(c, MRT_NO_BACKEND,
           "%s: a bundle in memory needs ONNX Runtime 1.18 or newer, this is %s", graph.name,
           ort.version);
    for (i = 0; i < num_data; i++) {
#if defined(_WIN32)
      names[i] = wide(c, data[i].name);
#else
      names[i] = data[i].name;
#endif
      bytes[i] = (char *)data[i].bytes;
      sizes[i] = data[i].num_bytes;
    }
    check(c,
          ORT(ADD_EXTERNAL_INITIALIZERS_FROM_FILES_IN_MEMORY,
              add_files_fn)(options, names, bytes, sizes, num_data),
          graph.name);
  }
  check(c,
        ORT(CREATE_SESSION_FROM_ARRAY, create_from_array_fn)(ort.env, graph.bytes, graph.num_bytes,
                                                             options, &session->native),
        graph.name);
  arena_defer(c, from, release_session, session->native);
  return session;
}

ort_session *session_of_runner(call *c, arena *from, const runner_graph *graph) {
  ort_session *session = TAKE(c, from, ort_session, 1);
  session->runner = graph;
  return session;
}

size_t tensor_count(const tensor *t) {
  size_t count = 1;
  int i;
  for (i = 0; i < t->rank; i++) count *= (size_t)t->dims[i];
  return count;
}

size_t element_size(tensor_type type) {
  return type == TENSOR_BOOL ? 1 : type == TENSOR_INT64 ? 8 : 4;
}

void session_run(call *c, arena *from, ort_session *session, const tensor *inputs,
                 size_t num_inputs, tensor *outputs, size_t num_outputs) {
  const char **input_names = TEMP(c, const char *, num_inputs);
  const char **output_names = TEMP(c, const char *, num_outputs);
  ort_value **input_values = TEMP(c, ort_value *, num_inputs);
  ort_value **output_values = TEMP(c, ort_value *, num_outputs);
  struct arena_cleanup **releases = TEMP(c, struct arena_cleanup *, num_inputs);
  size_t i;
  if (session->runner) {
    runner_run(c, from, session->runner, inputs, num_inputs, outputs, num_outputs);
    return;
  }
  for (i = 0; i < num_inputs; i++) {
    const tensor *t = &inputs[i];
    input_names[i] = t->name;
    check(c,
          ORT(CREATE_TENSOR_WITH_DATA, create_tensor_fn)(
              ort.memory, t->data, tensor_count(t) * element_size(t->type), t->dims,
              (size_t)t->rank, t->type, &input_values[i]),
          session->place);
    releases[i] = arena_defer(c, &c->memory, release_value, input_values[i]);
  }
  for (i = 0; i < num_outputs; i++) output_names[i] = outputs[i].name;
  check(c,
        ORT(RUN, run_fn)(session->native, NULL, input_names,
                         (const ort_value *const *)input_values, num_inputs, output_names,
                         num_outputs, output_values),
        session->place);
  for (i = 0; i < num_inputs; i++) {
    cleanup_disarm(releases[i]);
    release_value(input_values[i]);
  }
  for (i = 0; i < num_outputs; i++) arena_defer(c, from, release_value, output_values[i]);
  for (i = 0; i < num_outputs; i++) {
    tensor *t = &outputs[i];
    struct arena_cleanup *release;
    ort_shape *shape = NULL;
    size_t rank = 0;
    int type = 0;
    check(c, ORT(GET_TENSOR_TYPE_AND_SHAPE, get_shape_fn)(output_values[i], &shape),
          session->place);
    release = arena_defer(c, &c->memory, release_shape, shape);
    check(c, ORT(GET_TENSOR_ELEMENT_TYPE, get_type_fn)(shape, &type), session->place);
    check(c, ORT(GET_DIMENSIONS_COUNT, get_rank_fn)(shape, &rank), session->place);
    if (rank > MAX_RANK || (type != TENSOR_FLOAT && type != TENSOR_BOOL && type != TENSOR_INT64))
      fail(c, MRT_BAD_BUNDLE, "%s: its output %s is of a kind that is not known", session->place,
           t->name);
    check(c, ORT(GET_DIMENSIONS, get_dims_fn)(shape, t->dims, rank), session->place);
    check(c, ORT(GET_TENSOR_MUTABLE_DATA, get_data_fn)(output_values[i], &t->data),
          session->place);
    t->rank = (int)rank;
    t->type = (tensor_type)type;
    cleanup_disarm(release);
    release_shape(shape);
  }
}
