#include "runner.h"

#include <string.h>

struct runner_graph {
  const mrt_runner *runner;
  const char *name;
  const json *entry;
  void *opened;
};

static void close_graph(void *what) {
  const runner_graph *g = what;
  g->runner->close(g->runner->user, g->opened);
}

runner_graph *runner_open(call *c, arena *from, const mrt_runner *runner, const char *graph,
                          named_bytes file, const json *entry) {
  runner_graph *g = TAKE(c, from, runner_graph, 1);
  g->runner = runner;
  g->name = arena_copy(c, from, graph, strlen(graph));
  g->entry = entry;
  g->opened = runner->open(runner->user, graph, file.bytes, file.num_bytes);
  if (!g->opened)
    fail(c, MRT_NO_BACKEND, "%s: the program's own runner cannot open it", file.name);
  arena_defer(c, from, close_graph, g);
  return g;
}

static const json *tensors(const runner_graph *g, const char *kind) {
  const json *list = json_get(g->entry, kind);
  return list && list->kind == JSON_ARRAY ? list->first : NULL;
}

/* The size of an axis that the manifest knows by a name: that of an input which has it; or -1. */
static int64_t axis_size(const runner_graph *g, const json *axis, const tensor *inputs,
                         size_t num_inputs) {
  const json *item, *other;
  size_t n;
  if (axis->kind == JSON_NUMBER) return axis->whole ? axis->integer : -1;
  for (item = tensors(g, "inputs"); item && axis->kind == JSON_STRING; item = item->next) {
    const json *axes = json_get(item, "axes");
    int at = 0;
    other = axes && axes->kind == JSON_ARRAY ? axes->first : NULL;
    for (; other && !json_is(other, axis->string); other = other->next) at++;
    for (n = 0; other && n < num_inputs; n++)
      if (json_is(json_get(item, "name"), inputs[n].name) && at < inputs[n].rank)
        return inputs[n].dims[at];
  }
  return -1;
}

static tensor output_of(call *c, arena *from, const runner_graph *g, const json *item,
                        const tensor *inputs, size_t num_inputs) {
  const json *axes = json_get(item, "axes"), *name = json_get(item, "name"), *axis;
  const json *dtype = json_get(item, "dtype");
  tensor made = {0};
  made.type = json_is(dtype, "float32") ? TENSOR_FLOAT
              : json_is(dtype, "int64") ? TENSOR_INT64
                                        : TENSOR_BOOL;
  if (!name || name->kind != JSON_STRING || !axes || axes->kind != JSON_ARRAY ||
      (made.type == TENSOR_BOOL && !json_is(dtype, "bool")))
    fail(c, MRT_BAD_BUNDLE, "graph %s: an output is of a kind that is not known", g->name);
  made.name = name->string;
  for (axis = axes->first; axis; axis = axis->next) {
    int64_t size = axis_size(g, axis, inputs, num_inputs);
    if (size < 0 || size > INT32_MAX || made.rank == MAX_RANK)
      fail(c, MRT_BAD_BUNDLE,
           "graph %s: the size of its output %s does not follow from its inputs; ONNX Runtime "
           "alone runs it",
           g->name, made.name);
    made.dims[made.rank++] = size;
  }
  made.data = arena_take(c, from, tensor_count(&made) + 1, element_size(made.type));
  return made;
}

static mrt_tensor told(const tensor *t) {
  mrt_tensor made;
  made.name = t->name;
  made.type = (mrt_element)t->type;
  made.rank = t->rank;
  made.dims = t->dims;
  made.data = t->data;
  return made;
}

void runner_run(call *c, arena *from, const runner_graph *g, const tensor *inputs,
                size_t num_inputs, tensor *outputs, size_t num_outputs) {
  const json *list = json_get(g->entry, "outputs"), *item;
  size_t room = list && list->kind == JSON_ARRAY ? (size_t)list->num_items : 0, count = 0, i, k;
  tensor *all = TEMP(c, tensor, room + 1);
  mrt_tensor *given = TEMP(c, mrt_tensor, num_inputs + 1), *wanted = TEMP(c, mrt_tensor, room + 1);
  for (item = tensors(g, "outputs"); item; item = item->next, count++) {
    all[count] = output_of(c, from, g, item, inputs, num_inputs);
    wanted[count] = told(&all[count]);
  }
  for (i = 0; i < num_inputs; i++) given[i] = told(&inputs[i]);
  if (!g->runner->run(g->runner->user, g->opened, given, (int32_t)num_inputs, wanted,
                      (int32_t)count))
    fail(c, MRT_NO_BACKEND, "graph %s: the program's own runner cannot run it", g->name);
  for (i = 0; i < num_outputs; i++) {
    for (k = 0; k < count && strcmp(all[k].name, outputs[i].name); k++) continue;
    if (k == count)
      fail(c, MRT_BAD_BUNDLE, "graph %s: has no output %s", g->name, outputs[i].name);
    outputs[i] = all[k];
  }
}
