/* A stream's state as a file: safetensors of the frames that it still needs, and a JSON text beside
 * them; the Python package's runtime/ardy/snapshot.py has the same. */
#include <stdlib.h>
#include <string.h>

#include "ardy_session.h"
#include "writers.h"

#define FORMAT "motionrt-stream"
#define FORMAT_VERSION "1"
#define EMBEDDING "embedding_%d" /* of what was asked for there */

/* ---- Writing ---- */

/* A number that reads back as the same double, whatever the locale. */
static void add_double(call *c, buffer *out, double value) {
  char text[40];
  char *comma;
  snprintf(text, sizeof text, "%.17g", value);
  if ((comma = strchr(text, ','))) *comma = '.';
  buffer_add(c, out, text, strlen(text));
}

static void add_pair(call *c, buffer *out, double first, double second) {
  buffer_print(c, out, "[");
  add_double(c, out, first);
  buffer_print(c, out, ",");
  add_double(c, out, second);
  buffer_print(c, out, "]");
}

/* Rows of so many numbers, taken a stride apart. */
static void add_rows(call *c, buffer *out, const char *key, const float *values, int32_t rows,
                     int32_t width, int32_t stride, int32_t row) {
  int32_t t, i;
  if (!values) return;
  buffer_print(c, out, ",\"%s\":[", key);
  for (t = 0; t < rows; t++) {
    for (i = 0; i < width; i++) {
      buffer_print(c, out, i ? "," : t ? ",[" : "[");
      add_double(c, out, (double)values[(size_t)t * row + (size_t)i * stride]);
    }
    buffer_print(c, out, "]");
  }
  buffer_print(c, out, "]");
}

static void add_constraint(call *c, buffer *out, const constraint *item) {
  int32_t k, i;
  float numbers[9];
  buffer_print(c, out, "{\"type\":\"%s\",\"frame_indices\":[", kind_names[item->kind]);
  for (k = 0; k < item->num_frames; k++)
    buffer_print(c, out, k ? ",%d" : "%d", item->frames[k]);
  buffer_print(c, out, "]");
  add_rows(c, out, "smooth_root_2d", item->smooth_root, item->num_frames, 2, item->columns - 1,
           item->columns);
  add_rows(c, out, "global_root_heading", item->heading, item->num_frames, 2, 1, 2);
  if (item->root) {
    buffer_print(c, out, ",\"root_positions\":[");
    for (k = 0; k < item->num_frames; k++) {
      vec_store(numbers, item->root[k]);
      for (i = 0; i < 3; i++) {
        buffer_print(c, out, i ? "," : k ? ",[" : "[");
        add_double(c, out, (double)numbers[i]);
      }
      buffer_print(c, out, "]");
    }
    buffer_print(c, out, "],\"local_joints_rot\":[");
    for (k = 0; k < item->num_frames * item->num_joints; k++) {
      buffer_print(c, out, "%s%s", k ? "," : "", k % item->num_joints ? "" : "[");
      mat_store(numbers, item->local[k]);
      for (i = 0; i < 9; i++) {
        buffer_print(c, out, i == 0 ? "[[" : i % 3 ? "," : "],[");
        add_double(c, out, (double)numbers[i]);
      }
      buffer_print(c, out, k % item->num_joints == item->num_joints - 1 ? "]]]" : "]]");
    }
    buffer_print(c, out, "]");
  }
  if (item->kind == MRT_END_EFFECTORS) {
    buffer_print(c, out, ",\"joint_names\":[");
    for (i = 0; i < item->num_groups; i++)
      buffer_print(c, out, "%s\"%s\"", i ? "," : "", group_names[item->groups[i]]);
    buffer_print(c, out, "]");
  }
  buffer_print(c, out, "}");
}

static void add_controls(call *c, buffer *out, const controls *asked) {
  int32_t k;
  size_t i;
  buffer_print(c, out, "{\"frame\":%d,\"prompt\":", asked->frame);
  add_text(c, out, asked->prompt);
  buffer_print(c, out, ",\"velocity\":");
  if (asked->has_velocity)
    add_pair(c, out, asked->velocity[0], asked->velocity[1]);
  else
    buffer_print(c, out, "null");
  buffer_print(c, out, ",\"constraints\":[");
  for (i = 0; i < asked->held.count; i++) {
    if (i) buffer_print(c, out, ",");
    add_constraint(c, out, &asked->held.items[i]);
  }
  buffer_print(c, out, "]");
  for (k = 0; k < asked->given.count; k++)
    buffer_print(c, out, "%s%s", k ? "," : ",\"embedding_mask\":[",
                 asked->given.mask[k] ? "true" : "false");
  buffer_print(c, out, asked->given.count ? "]}" : "}");
}

/* Embeddings that were given stand behind the frames, each by its place among what was asked for. */
static void add_embeddings(call *c, buffer *header, buffer *values, const ardy *m,
                             const timeline *line, size_t at) {
  int32_t k;
  for (k = 0; k < line->num_entries; k++) {
    const tokens *given = &line->entries[k]->given;
    size_t bytes = (size_t)given->count * (size_t)m->text_width * sizeof(float);
    if (!bytes) continue;
    buffer_print(c, header,
                 ",\"" EMBEDDING "\":{\"dtype\":\"F32\",\"shape\":[%d,%d],"
                 "\"data_offsets\":[%zu,%zu]}",
                 k, given->count, m->text_width, at, at + bytes);
    buffer_add(c, values, given->values, bytes);
    at += bytes;
  }
}

void snapshot_write(call *c, const mrt_stream *s, buffer *out) {
  buffer text = {&c->memory, NULL, 0, 0}, header = text, embeddings = text;
  const stream_state *state = &s->state;
  const stream_settings *how = &state->how;
  size_t bytes = (size_t)state->buffer.count * s->model->features.width * sizeof(float), i;
  unsigned char size[8];
  int32_t k;
  buffer_print(c, &text, "{\"model\":");
  add_text(c, &text, s->pipeline->bundle.name);
  buffer_print(c, &text, ",\"seed\":%lu,\"position\":%d,\"first\":%d,\"rest\":",
               (unsigned long)state->seed, state->position, state->buffer.first);
  add_double(c, &text, state->rest);
  buffer_print(c, &text, ",\"start\":");
  add_pair(c, &text, state->start[0], state->start[1]);
  buffer_print(c, &text, ",\"heading_rad\":");
  add_double(c, &text, state->heading_rad);
  buffer_print(c, &text, ",\"settings\":{\"guidance\":{\"mode\":\"%s\",\"weights\":[",
               guidance_names[how->guidance.num_weights]);
  for (k = 0; k < how->guidance.num_weights; k++) {
    if (k) buffer_print(c, &text, ",");
    add_double(c, &text, (double)how->guidance.weights[k]);
  }
  buffer_print(c, &text,
               "]},\"num_steps\":%d,\"replan_frames\":%d,\"history_frames\":%d,"
               "\"future_frames\":%d,\"postprocess\":%s,\"root_margin\":",
               how->num_steps, how->replan_frames, how->history_frames, how->future_frames,
               how->postprocess ? "true" : "false");
  add_double(c, &text, how->root_margin);
  buffer_print(c, &text, "},\"asked\":[");
  for (k = 0; k < state->line.num_entries; k++) {
    if (k) buffer_print(c, &text, ",");
    add_controls(c, &text, state->line.entries[k]);
  }
  buffer_print(c, &text, "],\"cuts\":[");
  for (k = 0; k < state->line.num_cuts; k++)
    buffer_print(c, &text, k ? ",%d" : "%d", state->line.cuts[k]);
  buffer_print(c, &text, "]}");
  buffer_print(c, &header,
               "{\"__metadata__\":{\"format\":\"" FORMAT "\",\"version\":\"" FORMAT_VERSION
               "\",\"state\":");
  add_text(c, &header, text.bytes);
  buffer_print(c, &header,
               "},\"features\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[0,%zu]}",
               state->buffer.count, s->model->features.width, bytes);
  add_embeddings(c, &header, &embeddings, s->model, &state->line, bytes);
  buffer_print(c, &header, "}");
  while (header.length % 8) buffer_add(c, &header, " ", 1);
  for (i = 0; i < 8; i++) size[i] = (unsigned char)(header.length >> (8 * i) & 255);
  buffer_add(c, out, size, 8);
  buffer_add(c, out, header.bytes, header.length);
  if (bytes) buffer_add(c, out, state->buffer.frames, bytes);
  if (embeddings.length) buffer_add(c, out, embeddings.bytes, embeddings.length);
}

/* ---- Reading ---- */

static NO_RETURN void damaged(call *c, const char *what) {
  fail(c, MRT_BAD_INPUT, "cannot be read as a snapshot of a stream (%s)", what);
}

static const json *need(call *c, const json *object, const char *key, json_kind kind) {
  const json *found = json_get(object, key);
  if (!found || found->kind != kind) damaged(c, key);
  return found;
}

static double number(call *c, const json *object, const char *key, double least, double most) {
  const json *found = need(c, object, key, JSON_NUMBER);
  if (!(found->number >= least && found->number <= most)) damaged(c, key);
  return found->number;
}

static int32_t whole(call *c, const json *object, const char *key, int32_t most) {
  const json *found = need(c, object, key, JSON_NUMBER);
  if (!found->whole) damaged(c, key);
  return (int32_t)number(c, object, key, 0, most);
}

static const char *text(call *c, const json *object, const char *key) {
  const json *found = need(c, object, key, JSON_STRING);
  if (strlen(found->string) != found->length) damaged(c, key);
  return found->string;
}

static void pair(call *c, const json *list, const char *key, double out[2]) {
  if (list->kind != JSON_ARRAY || list->num_items != 2 || list->first->kind != JSON_NUMBER ||
      list->first->next->kind != JSON_NUMBER || !isfinite(list->first->number) ||
      !isfinite(list->first->next->number))
    damaged(c, key);
  out[0] = list->first->number;
  out[1] = list->first->next->number;
}

static guidance read_guidance(call *c, const json *object) {
  const json *weights = need(c, object, "weights", JSON_ARRAY), *item;
  const char *mode = text(c, object, "mode");
  guidance g = {0, {0, 0}};
  int32_t i = 0;
  while (g.num_weights < 3 && strcmp(mode, guidance_names[g.num_weights])) g.num_weights++;
  if (g.num_weights == 3 || weights->num_items != g.num_weights) damaged(c, "guidance");
  for (item = weights->first; item; item = item->next) {
    if (item->kind != JSON_NUMBER || !isfinite((float)item->number)) damaged(c, "guidance");
    g.weights[i++] = (float)item->number;
  }
  return g;
}

static void read_settings(call *c, const ardy *m, const json *object, stream_settings *how) {
  const json *postprocess = json_get(object, "postprocess");
  how->guidance = read_guidance(c, need(c, object, "guidance", JSON_OBJECT));
  how->num_steps = whole(c, object, "num_steps", INT32_MAX);
  how->replan_frames = whole(c, object, "replan_frames", INT32_MAX);
  how->history_frames = whole(c, object, "history_frames", INT32_MAX);
  how->future_frames = whole(c, object, "future_frames", MOST_STREAMED / 2);
  how->root_margin = number(c, object, "root_margin", 0, HUGE_VAL);
  how->postprocess = postprocess && postprocess->kind == JSON_TRUE;
  stream_check(c, m, how);
}

/* The embedding that an entry was asked for with, if it was: whether there is one. */
static bool read_embedding(call *c, const ardy *m, named_bytes file, const json *entry,
                           int32_t place, tokens *given) {
  const json *mask = json_get(entry, "embedding_mask"), *item;
  uint8_t *told;
  array values;
  int32_t k = 0;
  if (!mask) return false;
  values = safetensors_array(c, &c->memory, file, arena_print(c, &c->memory, EMBEDDING, place),
                             MRT_BAD_INPUT);
  if (mask->kind != JSON_ARRAY || mask->num_items < 1 || !values.values || values.rank != 2 ||
      values.dims[0] != mask->num_items || values.dims[1] != m->text_width)
    damaged(c, "embedding");
  told = TEMP(c, uint8_t, mask->num_items);
  for (item = mask->first; item; item = item->next) told[k++] = item->kind == JSON_TRUE;
  *given = tokens_given(c, values.values, told, 1, k, m->text_width, m->num_text_tokens);
  return true;
}

void snapshot_read(call *c, mrt_stream *s, const void *bytes, size_t num_bytes,
                   stream_state *state) {
  ardy *m = s->model;
  ardy_run u = stream_run(c, s);
  named_bytes file = {"cannot be read as a snapshot of a stream", bytes, num_bytes};
  const json *metadata, *document, *item, *cuts;
  size_t header;
  const char *told;
  int32_t place = 0;
  array frames;
  metadata = json_get(safetensors_header(c, file, MRT_BAD_INPUT, &header), "__metadata__");
  if (!json_is(json_get(metadata, "format"), FORMAT))
    fail(c, MRT_BAD_INPUT, "this is no snapshot of a stream");
  if (!json_is(json_get(metadata, "version"), FORMAT_VERSION))
    fail(c, MRT_BAD_INPUT, "a snapshot of another version; this library reads " FORMAT_VERSION);
  told = text(c, metadata, "state");
  document = json_parse(c, &c->memory, told, strlen(told), MRT_BAD_INPUT, file.name);
  told = text(c, document, "model");
  if (strcmp(told, s->pipeline->bundle.name))
    fail(c, MRT_BAD_INPUT, "a snapshot of %s, this is %s", told, s->pipeline->bundle.name);
  frames = safetensors_array(c, &c->memory, file, "features", MRT_BAD_INPUT);
  if (!frames.values || frames.rank != 2 || frames.dims[1] != m->features.width ||
      frames.dims[0] > MOST_STREAMED / 2)
    fail(c, MRT_BAD_INPUT, "a snapshot's frames are of another model");
  state->buffer.first = whole(c, document, "first", MOST_STREAMED);
  state_reserve(c, state, (int32_t)frames.dims[0], m->features.width);
  state->buffer.count = (int32_t)frames.dims[0];
  motion_check_numbers(c, frames.values, state->buffer.count, (size_t)m->features.width,
                       "a snapshot");
  if (state->buffer.count)
    memcpy(state->buffer.frames, frames.values,
           (size_t)state->buffer.count * m->features.width * sizeof(float));
  state->seed = (uint32_t)number(c, document, "seed", 0, UINT32_MAX);
  state->position = whole(c, document, "position", MOST_STREAMED);
  state->rest = number(c, document, "rest", -1, 1);
  pair(c, need(c, document, "start", JSON_ARRAY), "start", state->start);
  state->heading_rad = number(c, document, "heading_rad", -HUGE_VAL, HUGE_VAL);
  if (!isfinite(state->heading_rad)) damaged(c, "heading_rad");
  read_settings(c, m, need(c, document, "settings", JSON_OBJECT), &state->how);
  for (item = need(c, document, "asked", JSON_ARRAY)->first; item; item = item->next) {
    const json *given = json_get(item, "constraints"), *velocity = json_get(item, "velocity");
    int32_t frame = whole(c, item, "frame", MOST_STREAMED);
    controls asked = {0}, *made;
    tokens embedded;
    bool is_given = read_embedding(c, m, file, item, place++, &embedded);
    if (given) asked.held = constraints_read(c, given, "", m->features.skeleton);
    constraints_need_hips(c, asked.held);
    controls_word(&u, &asked, text(c, item, "prompt"), is_given ? &embedded : NULL);
    asked.has_velocity = velocity != NULL;
    if (velocity) pair(c, velocity, "velocity", asked.velocity);
    made = controls_new(c, m, &asked);
    timeline_change(c, &state->line, made, frame);
  }
  cuts = json_get(document, "cuts");
  for (item = cuts ? need(c, document, "cuts", JSON_ARRAY)->first : NULL; item; item = item->next) {
    if (item->kind != JSON_NUMBER || !item->whole || item->integer < 0 ||
        item->integer > MOST_STREAMED)
      damaged(c, "cuts");
    timeline_cut(c, &state->line, (int32_t)item->integer);
  }
  if (!state->line.num_entries) damaged(c, "asked");
  if (state->line.entries[0]->frame > state->position || state->buffer.first > state->position ||
      state->position - state->buffer.first > state->buffer.count)
    fail(c, MRT_BAD_INPUT, "a snapshot's frames do not fit its position");
  state->is_begun = state->position > 0;
}
