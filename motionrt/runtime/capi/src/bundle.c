#include "bundle.h"

#include <errno.h>
#include <string.h>

#include "files.h"
#include "runner.h"
#include "sha256.h"

#define SCHEMA 2
#define LARGEST_FILE ((size_t)1 << 40)
#define LARGEST_MANIFEST ((size_t)64 << 20)

static NO_RETURN void damaged(call *c, const bundle *b, const char *what) {
  fail(c, MRT_BAD_BUNDLE, "%s: manifest.json: %s; export the bundle again", b->place, what);
}

static const json *need(call *c, const bundle *b, const json *section, const char *key,
                        json_kind kind) {
  const json *found = json_get(section, key);
  if (!found || found->kind != kind)
    damaged(c, b, arena_print(c, &c->memory, "%s is missing or of another kind", key));
  return found;
}

int32_t need_count(call *c, const bundle *b, const json *section, const char *key) {
  const json *found = need(c, b, section, key, JSON_NUMBER);
  if (!found->whole || found->integer < 1 || found->integer > 1 << 30)
    damaged(c, b, arena_print(c, &c->memory, "%s must be a whole number from 1", key));
  return (int32_t)found->integer;
}

double need_number(call *c, const bundle *b, const json *section, const char *key) {
  return need(c, b, section, key, JSON_NUMBER)->number;
}

const char *need_text(call *c, arena *from, const bundle *b, const json *section,
                      const char *key) {
  const json *found = need(c, b, section, key, JSON_STRING);
  if (strlen(found->string) != found->length) damaged(c, b, "a text holds a zero");
  return arena_copy(c, from, found->string, found->length);
}

bool need_switch(call *c, const bundle *b, const json *section, const char *key) {
  const json *found = json_get(section, key);
  if (!found || (found->kind != JSON_TRUE && found->kind != JSON_FALSE))
    damaged(c, b, arena_print(c, &c->memory, "%s must be true or false", key));
  return found->kind == JSON_TRUE;
}

/* A file's name must stay inside the bundle. */
static bool stays_inside(const char *name) {
  const char *at = name;
  if (!*name || *name == '/' || *name == '\\' || strchr(name, ':')) return false;
  while (at) {
    size_t length = strcspn(at, "/\\");
    if (length == 2 && at[0] == '.' && at[1] == '.') return false;
    at = at[length] ? at + length + 1 : NULL;
  }
  return true;
}

static NO_RETURN void unread(call *c, const bundle *b, const char *path, const char *name) {
  if (!strcmp(name, "manifest.json") && errno == ENOENT)
    fail(c, MRT_BAD_BUNDLE, "%s: no manifest.json in it, so it is no bundle", b->place);
  fail(c, MRT_BAD_BUNDLE, "%s: cannot be read (%s); export or copy the bundle again", path,
       strerror(errno));
}

static const char *read_bytes(call *c, arena *from, const bundle *b, const char *name,
                              size_t limit, size_t *num_bytes) {
  const char *bytes;
  if (b->folder) {
    char *path = path_join(c, &c->memory, b->folder, name);
    bytes = file_read(c, from, path, limit, num_bytes);
    if (!bytes) unread(c, b, path, name);
  } else {
    bytes = b->file(b->user, name, num_bytes);
    if (!bytes) fail(c, MRT_BAD_BUNDLE, "%s: there is no file %s", b->place, name);
  }
  return bytes;
}

static const json *file_entry(call *c, const bundle *b, const char *name) {
  const json *entry = json_get(b->files, name);
  if (!entry || entry->kind != JSON_OBJECT)
    fail(c, MRT_BAD_BUNDLE, "%s: the manifest lists no file %s", b->place, name);
  return entry;
}

/* What is known of a file once its bytes were seen. */
typedef struct seen {
  uint64_t num_bytes;
  char first[sizeof "version https://git-lfs.github.com/spec/" - 1]; /* of a Git LFS pointer */
  bool hashed;
  sha256 hash;
} seen;

static void see(void *user, const void *bytes, size_t num_bytes) {
  seen *s = user;
  if (!s->num_bytes && num_bytes >= sizeof s->first) memcpy(s->first, bytes, sizeof s->first);
  s->num_bytes += num_bytes;
  if (s->hashed) sha256_add(&s->hash, bytes, num_bytes);
}

static seen *begin_seeing(call *c, const bundle *b) {
  seen *s = TEMP(c, seen, 1);
  s->hashed = b->check_hashes;
  sha256_begin(&s->hash);
  return s;
}

/* Compare a file with what the manifest says. */
static void check_seen(call *c, const bundle *b, const char *name, seen *s) {
  const json *entry = file_entry(c, b, name);
  const json *size = need(c, b, entry, "size", JSON_NUMBER);
  char found[65];
  if ((int64_t)s->num_bytes != size->integer) {
    if (!memcmp(s->first, "version https://git-lfs.github.com/spec/", sizeof s->first))
      fail(c, MRT_BAD_BUNDLE, "%s: %s is a Git LFS pointer, not the file itself; run git lfs pull",
           b->place, name);
    fail(c, MRT_BAD_BUNDLE, "%s: %s has %llu bytes, should have %lld; copy the bundle again",
         b->place, name, (unsigned long long)s->num_bytes, (long long)size->integer);
  }
  if (!s->hashed) return;
  sha256_end(&s->hash, found);
  if (!json_is(json_get(entry, "sha256"), found))
    fail(c, MRT_BAD_BUNDLE,
         "%s: %s was altered since export (SHA-256 differs); export or copy the bundle again",
         b->place, name);
}

named_bytes bundle_read(call *c, arena *from, const bundle *b, const char *name) {
  named_bytes file = {name, NULL, 0};
  seen *s = begin_seeing(c, b);
  file_entry(c, b, name); /* what is not listed is not read */
  file.bytes = read_bytes(c, from, b, name, LARGEST_FILE, &file.num_bytes);
  see(s, file.bytes, file.num_bytes);
  check_seen(c, b, name, s);
  return file;
}

void bundle_open(call *c, arena *from, bundle *b) {
  size_t length;
  const char *text;
  const json *item, *limits, *schema;
  b->place = b->folder ? b->folder : "the bundle";
  text = read_bytes(c, &c->memory, b, "manifest.json", LARGEST_MANIFEST, &length);
  b->manifest = json_parse(c, from, text, length, MRT_BAD_BUNDLE,
                           arena_print(c, &c->memory, "%s: manifest.json", b->place));
  schema = json_get(b->manifest, "schema");
  if (!schema || schema->kind != JSON_NUMBER || schema->integer != SCHEMA)
    fail(c, MRT_BAD_BUNDLE, "%s: this library reads bundles of schema %d; export it again",
         b->place, SCHEMA);
  b->family = need_text(c, from, b, b->manifest, "family");
  b->name = need_text(c, from, b, b->manifest, "name");
  b->fps = need_number(c, b, b->manifest, "fps");
  if (!(b->fps > 0 && b->fps <= 1000)) damaged(c, b, "fps must be above 0");
  b->graphs = need(c, b, b->manifest, "graphs", JSON_OBJECT);
  b->files = need(c, b, b->manifest, "files", JSON_OBJECT);
  b->sampler = need(c, b, b->manifest, "sampler", JSON_OBJECT);
  b->text = need(c, b, b->manifest, "text", JSON_OBJECT);
  limits = need(c, b, b->manifest, "limits", JSON_OBJECT);
  b->max_frames = need_count(c, b, limits, "max_frames");
  b->advised_seconds = need_number(c, b, limits, "advised_seconds");
  if (!(b->advised_seconds > 0 && b->advised_seconds <= 1e6))
    damaged(c, b, "advised_seconds must be above 0");
  b->advised_frames = b->advised_seconds * b->fps < 1 ? 1 : (int32_t)(b->advised_seconds * b->fps);
  if (json_get(limits, "transitions_included"))
    b->transitions_included = need_switch(c, b, limits, "transitions_included");
  for (item = b->files->first; item; item = item->next)
    if (strlen(item->key) != item->key_length || !stays_inside(item->key))
      fail(c, MRT_BAD_BUNDLE, "%s: %s leaves the bundle; do not trust this bundle", b->place,
           item->key);
  b->skeleton =
      skeleton_parse(c, from, need(c, b, b->manifest, "skeleton", JSON_OBJECT), b->place);
  b->output_skeleton =
      skeleton_parse(c, from, need(c, b, b->manifest, "output_skeleton", JSON_OBJECT), b->place);
}

bool bundle_has_graph(const bundle *b, const char *name) {
  return json_get(b->graphs, name) != NULL;
}

/* The graph's own file. */
static const char *graph_file(call *c, arena *from, const bundle *b, const char *graph) {
  const json *entry = json_get(b->graphs, graph);
  if (!entry || entry->kind != JSON_OBJECT)
    fail(c, MRT_BAD_BUNDLE, "%s: has no graph %s", b->place, graph);
  return need_text(c, from, b, need(c, b, entry, "files", JSON_OBJECT), "onnx");
}

/* Compare a file of the bundle's folder with what the manifest says; its bytes do not stay. */
static void check_file(call *c, const bundle *b, const char *name) {
  const char *path = path_join(c, &c->memory, b->folder, name);
  seen *s = begin_seeing(c, b);
  file_entry(c, b, name);
  if (!file_scan(c, path, see, s)) unread(c, b, path, name);
  check_seen(c, b, name, s);
}

/* The name that a graph has for a file: they lie in one folder, and names of both begin with it. */
static const char *beside(const char *graph, const char *name) {
  const char *end = strrchr(graph, '/');
  size_t length = end ? (size_t)(end - graph) + 1 : 0;
  return strncmp(graph, name, length) ? name : name + length;
}

ort_session *bundle_session(call *c, arena *from, const bundle *b, const char *graph,
                            const session_options *given) {
  const char *file = graph_file(c, from, b, graph);
  const json *entry = json_get(b->graphs, graph), *data = json_get(entry, "data"), *item;
  const json *unpack = json_get(entry, "unpack_each_run");
  session_options options = *given;
  size_t num_data = 0, room = data && data->kind == JSON_ARRAY ? (size_t)data->num_items : 0;
  named_bytes *parts = TEMP(c, named_bytes, room), whole;
  options.unpack_each_run = unpack && unpack->kind == JSON_TRUE;
  if (given->runner) {
    if (room)
      fail(c, MRT_BAD_BUNDLE,
           "%s: the weights of graph %s lie beside it, which a runner cannot find; motionrt lower "
           "writes graphs that hold theirs",
           b->place, graph);
    whole = bundle_read(c, &c->memory, b, file);
    return session_of_runner(c, from, runner_open(c, from, given->runner, graph, whole, entry));
  }
  for (item = room ? data->first : NULL; item; item = item->next) {
    if (item->kind != JSON_STRING) damaged(c, b, "a graph's data is no list of files");
    if (!b->folder) {
      parts[num_data] = bundle_read(c, from, b, item->string);
      parts[num_data++].name = beside(file, item->string);
    } else if (b->check_hashes)
      check_file(c, b, item->string);
    else
      file_entry(c, b, item->string); /* ONNX Runtime reads it; it must be one of the bundle's */
  }
  if (b->folder) {
    check_file(c, b, file);
    return session_open(c, from, path_join(c, &c->memory, b->folder, file), &options);
  }
  whole = bundle_read(c, from, b, file);
  return session_open_bytes(c, from, whole, parts, num_data, &options);
}

int64_t bundle_graph_bytes(const bundle *b, const char *graph) {
  const json *entry = json_get(b->graphs, graph), *data = json_get(entry, "data"), *item;
  const json *file = json_get(json_get(entry, "files"), "onnx");
  int64_t total = 0;
  if (file && file->kind == JSON_STRING) {
    const json *size = json_get(json_get(b->files, file->string), "size");
    total += size ? size->integer : 0;
  }
  for (item = data && data->kind == JSON_ARRAY ? data->first : NULL; item; item = item->next) {
    const json *size =
        item->kind == JSON_STRING ? json_get(json_get(b->files, item->string), "size") : NULL;
    total += size ? size->integer : 0;
  }
  return total;
}

int64_t bundle_axis(const bundle *b, const char *graph, const char *tensor, int axis) {
  const json *entry = json_get(b->graphs, graph);
  const char *const lists[] = {"inputs", "outputs"};
  int kind;
  for (kind = 0; kind < 2; kind++) {
    const json *list = json_get(entry, lists[kind]), *item;
    for (item = list && list->kind == JSON_ARRAY ? list->first : NULL; item; item = item->next) {
      const json *axes = json_get(item, "axes"), *size;
      int i = axis;
      if (!json_is(json_get(item, "name"), tensor) || !axes || axes->kind != JSON_ARRAY) continue;
      for (size = axes->first; size && i; size = size->next) i--;
      return size && size->kind == JSON_NUMBER && size->whole ? size->integer : -1;
    }
  }
  return -1;
}

const json *safetensors_header(call *c, named_bytes file, mrt_status status, size_t *length) {
  const unsigned char *bytes = file.bytes;
  uint64_t header = 0;
  int i;
  for (i = 7; i >= 0 && file.num_bytes >= 8; i--) header = header << 8 | bytes[i];
  if (file.num_bytes < 8 || header > file.num_bytes - 8)
    fail(c, status, "%s: no safetensors file", file.name);
  *length = (size_t)header;
  return json_parse(c, &c->memory, (const char *)bytes + 8, *length, status, file.name);
}

array safetensors_array(call *c, arena *from, named_bytes file, const char *name,
                        mrt_status status) {
  const unsigned char *bytes = file.bytes;
  array found = {0};
  size_t header;
  uint64_t begin, end, count = 1, i;
  const json *entry = json_get(safetensors_header(c, file, status, &header), name);
  const json *shape, *offsets, *item;
  bool whole = json_is(json_get(entry, "dtype"), "I64");
  size_t width = whole ? 8 : 4;
  float *values;
  if (!entry) return found;
  shape = json_get(entry, "shape");
  offsets = json_get(entry, "data_offsets");
  if ((!whole && !json_is(json_get(entry, "dtype"), "F32")) || !shape ||
      shape->kind != JSON_ARRAY || shape->num_items > MAX_RANK || !offsets ||
      offsets->kind != JSON_ARRAY || offsets->num_items != 2 || !offsets->first->whole ||
      !offsets->first->next->whole)
    fail(c, status, "%s: %s is no array of numbers that are read here", file.name, name);
  begin = (uint64_t)offsets->first->integer;
  end = (uint64_t)offsets->first->next->integer;
  for (item = shape->first; item; item = item->next) {
    if (!item->whole || item->integer < 0 || item->integer > 1 << 30 ||
        (count *= (uint64_t)item->integer) > (uint64_t)1 << 40)
      fail(c, status, "%s: %s has no sound shape", file.name, name);
    found.dims[found.rank++] = item->integer;
  }
  if (begin > end || end > file.num_bytes - 8 - header || end - begin != count * width)
    fail(c, status, "%s: %s is not where its header says", file.name, name);
  bytes += 8 + header + begin;
  values = TAKE(c, from, float, count ? count : 1);
  if (!whole && count) memcpy(values, bytes, (size_t)count * 4);
  for (i = 0; i < count && whole; i++) {
    int64_t number;
    memcpy(&number, bytes + 8 * i, 8);
    values[i] = (float)number;
  }
  found.values = values;
  return found;
}

array safetensors_find(call *c, arena *from, named_bytes file, const char *name) {
  return safetensors_array(c, from, file, name, MRT_BAD_BUNDLE);
}
