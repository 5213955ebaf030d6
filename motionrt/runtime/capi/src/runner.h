/* Graphs that a program runs itself, in ONNX Runtime's place. */
#ifndef MRT_RUNNER_H
#define MRT_RUNNER_H

#include "json.h"
#include "ort.h"

typedef struct runner_graph runner_graph;

/* Hand a graph to a runner. entry is what the manifest says of it: its inputs and outputs. */
runner_graph *runner_open(call *c, arena *from, const mrt_runner *runner, const char *graph,
                          named_bytes file, const json *entry);
/* session_run by a runner. Outputs have the sizes that follow from the inputs' by the manifest. */
void runner_run(call *c, arena *from, const runner_graph *opened, const tensor *inputs,
                size_t num_inputs, tensor *outputs, size_t num_outputs);

#endif
