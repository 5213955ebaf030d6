/* ONNX Runtime, by its frozen table of functions: nothing of it is needed to build. */
#ifndef MRT_ORT_H
#define MRT_ORT_H

#include "call.h"

/* Element types, numbered as ONNX Runtime numbers them. */
typedef enum tensor_type { TENSOR_FLOAT = 1, TENSOR_INT64 = 7, TENSOR_BOOL = 9 } tensor_type;

#define MAX_RANK 6

typedef struct tensor {
  const char *name;
  tensor_type type;
  int rank;
  int64_t dims[MAX_RANK];
  void *data;
} tensor;

typedef struct ort_session ort_session;

typedef struct session_options {
  const mrt_runner *runner; /* NULL: ONNX Runtime */
  int32_t threads;
  const char *backend; /* "cpu" and so on */
  /* Do not work out at once what no input decides: rounded weights are unpacked at each run. */
  bool unpack_each_run;
} session_options;

/* Find and load ONNX Runtime; what was loaded before is kept. path may be NULL. */
void ort_load(call *c, const char *path);
/* "cpu", "cuda" …; NULL past the last. */
const char *ort_backend(int32_t index);
/* Check that a backend is offered; MRT_NO_BACKEND otherwise. */
void ort_check_backend(call *c, const char *backend);

/* Load a graph from a file. place is what an error begins with. */
ort_session *session_open(call *c, arena *from, const char *path, const session_options *options);

typedef struct named_bytes {
  const char *name;
  const void *bytes;
  size_t num_bytes;
} named_bytes;
/* Load a graph from memory, with the files that its weights are in. */
ort_session *session_open_bytes(call *c, arena *from, named_bytes graph, const named_bytes *data,
                                size_t num_data, const session_options *options);

/* Run a graph. Outputs are asked for by their names; their data lives as long as the arena. */
void session_run(call *c, arena *from, ort_session *session, const tensor *inputs,
                 size_t num_inputs, tensor *outputs, size_t num_outputs);
/* The session of a graph that a runner has opened: session_run goes there. */
struct runner_graph;
ort_session *session_of_runner(call *c, arena *from, const struct runner_graph *graph);
/* The number of elements of a tensor, and the bytes of one. */
size_t tensor_count(const tensor *t);
size_t element_size(tensor_type type);

#endif
