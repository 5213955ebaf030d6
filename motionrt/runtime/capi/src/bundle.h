/* A bundle: its manifest, checked, and its files by name, from a folder or from memory. */
#ifndef MRT_BUNDLE_H
#define MRT_BUNDLE_H

#include "json.h"
#include "ort.h"
#include "skeleton.h"

typedef struct bundle {
  const char *place;  /* the folder, or "the bundle": what errors begin with */
  const char *folder; /* NULL: files come from the callback */
  mrt_file_fn file;
  void *user;
  bool check_hashes;
  const json *manifest;
  const char *family, *name;
  double fps, advised_seconds;
  int32_t max_frames, advised_frames;
  bool transitions_included; /* advised_frames counts the frames of a transition too */
  const mrt_skeleton *skeleton, *output_skeleton;
  const json *sampler, *text, *graphs, *files;
} bundle;


/* Read and check a manifest; MRT_BAD_BUNDLE says what to do. */
void bundle_open(call *c, arena *from, bundle *b);
/* A file's bytes, of the size and hash that the manifest says. */
named_bytes bundle_read(call *c, arena *from, const bundle *b, const char *name);
bool bundle_has_graph(const bundle *b, const char *name);
/* Load a graph. */
ort_session *bundle_session(call *c, arena *from, const bundle *b, const char *graph,
                            const session_options *options);
/* The bytes of a graph's files, 0 if there is no such graph. */
int64_t bundle_graph_bytes(const bundle *b, const char *graph);
/* The size of a tensor's axis in a graph's manifest entry; -1 for a dynamic one or none. */
int64_t bundle_axis(const bundle *b, const char *graph, const char *tensor, int axis);

/* Fields of a section; MRT_BAD_BUNDLE names one that is missing or of another kind. */
int32_t need_count(call *c, const bundle *b, const json *section, const char *key);
double need_number(call *c, const bundle *b, const json *section, const char *key);
const char *need_text(call *c, arena *from, const bundle *b, const json *section, const char *key);
bool need_switch(call *c, const bundle *b, const json *section, const char *key);

/* ---- Arrays in a safetensors file ---- */

typedef struct array {
  int rank;
  int64_t dims[MAX_RANK];
  const float *values;
} array;

/* Find an array of a file that was read, by its name; NULL values if there is none. It is float32, or
 * int64 with numbers that float32 holds. */
array safetensors_find(call *c, arena *from, named_bytes file, const char *name);
/* The file's header, which is JSON; a damaged file fails with a status. */
const json *safetensors_header(call *c, named_bytes file, mrt_status status, size_t *length);
array safetensors_array(call *c, arena *from, named_bytes file, const char *name,
                        mrt_status status);

#endif
