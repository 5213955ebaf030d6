#include "writers.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#ifndef MRT_VERSION
#define MRT_VERSION "0.1.0"
#endif

#define SIDES 8
#define NUM_RINGS 6
#define SHORTEST_BONE_M 2e-3
#define RING_VERTICES (NUM_RINGS * SIDES)
#define MAX_MESH_VERTICES 65535

enum { FLOATS = 5126, SHORTS = 5123, BYTES = 5121 };
enum { NO_TARGET = 0, VERTICES = 34962, INDICES = 34963 };

typedef struct glb {
  call *c;
  buffer data, views, accessors;
  int num_views, num_accessors;
} glb;

void add_number(call *c, buffer *out, double value) {
  char text[40];
  int i;
  snprintf(text, sizeof text, "%.9g", value);
  for (i = 0; text[i]; i++)
    if (text[i] == ',') text[i] = '.';
  buffer_add(c, out, text, strlen(text));
}

/* Append bytes in a view of its own; every array here is little-endian, as the machines are that
 * this library is built for. */
static int add_view(glb *g, const void *bytes, size_t length, int target) {
  static const char zeros[4] = {0};
  buffer_add(g->c, &g->data, zeros, (4 - g->data.length % 4) % 4);
  buffer_print(g->c, &g->views, "%s{\"buffer\":0,\"byteOffset\":%zu,\"byteLength\":%zu",
               g->num_views ? "," : "", g->data.length, length);
  if (target) buffer_print(g->c, &g->views, ",\"target\":%d", target);
  buffer_add(g->c, &g->views, "}", 1);
  buffer_add(g->c, &g->data, bytes, length);
  return g->num_views++;
}

static void add_bounds(glb *g, const float *values, size_t count, int width) {
  int side, i;
  size_t k;
  for (side = 0; side < 2; side++) {
    buffer_print(g->c, &g->accessors, side ? ",\"max\":[" : ",\"min\":[");
    for (i = 0; i < width; i++) {
      float best = values[i];
      for (k = 1; k < count; k++) {
        float value = values[k * (size_t)width + i];
        if (side ? value > best : value < best) best = value;
      }
      if (i) buffer_add(g->c, &g->accessors, ",", 1);
      add_number(g->c, &g->accessors, best);
    }
    buffer_add(g->c, &g->accessors, "]", 1);
  }
}

static int add_accessor(glb *g, int view, size_t offset, int component, const char *type,
                        size_t count, bool normalized, const float *bounded, int width) {
  buffer_print(g->c, &g->accessors,
               "%s{\"bufferView\":%d,\"byteOffset\":%zu,\"componentType\":%d,\"count\":%zu,"
               "\"type\":\"%s\"",
               g->num_accessors ? "," : "", view, offset, component, count, type);
  if (normalized) buffer_print(g->c, &g->accessors, ",\"normalized\":true");
  if (bounded) add_bounds(g, bounded, count, width);
  buffer_add(g->c, &g->accessors, "}", 1);
  return g->num_accessors++;
}

/* ---- The figure: a capsule along every bone, moved by the joint it starts from ---- */

typedef struct mesh {
  size_t num_vertices, num_indices;
  float *positions, *normals;
  uint8_t *colours, *weights;
  uint16_t *joints, *indices;
} mesh;

static char *lowered(call *c, const char *name) {
  char *copy = arena_copy(c, &c->memory, name, strlen(name)), *at;
  for (at = copy; *at; at++) *at = (char)tolower((unsigned char)*at);
  return copy;
}

static bool ends_in(const char *text, const char *end) {
  size_t length = strlen(text), part = strlen(end);
  return length >= part && !strcmp(text + length - part, end);
}

static double radius_of(call *c, const mrt_skeleton *s, int32_t joint, int32_t target,
                        double length) {
  const char *name = lowered(c, s->joint_names[joint]), *end = lowered(c, s->joint_names[target]);
  double least;
  if (strstr(name, "head") && (strstr(end, "end") || target == joint)) return 0.08;
  if (strstr(name, "head") || strstr(name, "jaw")) return 0.01; /* the eyes and the jaw */
  least = !strstr(end, "left") && !strstr(end, "right") ? 0.045 : 0.007;
  length *= 0.13;
  if (length < least) length = least;
  return length < 0.05 ? length : 0.05;
}

static const uint8_t *colour_of(call *c, const mrt_skeleton *s, int32_t joint) {
  static const uint8_t left[4] = {230, 120, 40, 255}, right[4] = {50, 110, 220, 255};
  static const uint8_t middle[4] = {150, 155, 165, 255};
  const char *name = lowered(c, s->joint_names[joint]);
  return strstr(name, "left") ? left : strstr(name, "right") ? right : middle;
}

static void add_capsule(call *c, mesh *m, const mrt_skeleton *s, vec3 start, vec3 end,
                        int32_t joint, double radius) {
  static const double latitudes[NUM_RINGS] = {-PI / 2, -PI / 4, 0, 0, PI / 4, PI / 2};
  vec3 along = vec_unit(vec_sub(end, start)), across, third;
  const uint8_t *colour = colour_of(c, s, joint);
  size_t base = m->num_vertices;
  int ring, side;
  across = vec_unit(vec_cross(fabs(along.x) < 0.9 ? vec(1, 0, 0) : vec(0, 1, 0), along));
  third = vec_cross(along, across);
  for (ring = 0; ring < NUM_RINGS; ring++)
    for (side = 0; side < SIDES; side++) {
      double angle = side * 2 * PI / SIDES, wide = cos(latitudes[ring]);
      size_t v = m->num_vertices++;
      vec3 normal = vec_add(vec_add(vec_scale(across, wide * cos(angle)),
                                    vec_scale(third, wide * sin(angle))),
                            vec_scale(along, sin(latitudes[ring])));
      vec_store(m->normals + 3 * v, normal);
      vec_store(m->positions + 3 * v, vec_add(ring >= NUM_RINGS / 2 ? end : start,
                                              vec_scale(normal, radius)));
      memcpy(m->colours + 4 * v, colour, 4);
      m->joints[4 * v] = (uint16_t)joint;
      m->weights[4 * v] = 255;
    }
  for (ring = 0; ring + 1 < NUM_RINGS; ring++)
    for (side = 0; side < SIDES; side++) {
      size_t a = base + (size_t)(ring * SIDES + side);
      size_t b = base + (size_t)(ring * SIDES + (side + 1) % SIDES);
      uint16_t *at = m->indices + m->num_indices;
      if (ring > 0) { /* at the first pole this triangle has no area */
        *at++ = (uint16_t)a, *at++ = (uint16_t)b, *at++ = (uint16_t)(b + SIDES);
        m->num_indices += 3;
      }
      if (ring < NUM_RINGS - 2) {
        *at++ = (uint16_t)a, *at++ = (uint16_t)(b + SIDES), *at++ = (uint16_t)(a + SIDES);
        m->num_indices += 3;
      }
    }
}

static mesh make_figure(call *c, const mrt_skeleton *s, children tree, const vec3 *bind) {
  size_t most = (size_t)s->num_joints * 2 * RING_VERTICES;
  mesh m = {0};
  int32_t joint, i;
  m.positions = TEMP(c, float, 3 * most);
  m.normals = TEMP(c, float, 3 * most);
  m.colours = TEMP(c, uint8_t, 4 * most);
  m.weights = TEMP(c, uint8_t, 4 * most);
  m.joints = TEMP(c, uint16_t, 4 * most);
  m.indices = TEMP(c, uint16_t, 6 * most);
  for (joint = 0; joint < s->num_joints; joint++) {
    int32_t first = tree.first[joint], end = tree.first[joint + 1];
    bool is_leaf = first == end;
    if (is_leaf && ends_in(lowered(c, s->joint_names[joint]), "end")) continue;
    for (i = first; i < end || is_leaf; i++) {
      int32_t target = is_leaf ? joint : tree.joints[i];
      vec3 tip = is_leaf ? vec_add(bind[joint], tip_offset(s, joint)) : bind[target];
      double length = vec_length(vec_sub(tip, bind[joint]));
      is_leaf = false;
      if (length < SHORTEST_BONE_M || m.num_vertices + RING_VERTICES > MAX_MESH_VERTICES) continue;
      add_capsule(c, &m, s, bind[joint], tip, joint, radius_of(c, s, joint, target, length));
    }
  }
  return m;
}

static void add_mesh(glb *g, const mesh *m, buffer *out) {
  size_t n = m->num_vertices;
  int position = add_accessor(g, add_view(g, m->positions, 12 * n, VERTICES), 0, FLOATS, "VEC3", n,
                              false, m->positions, 3);
  int normal =
      add_accessor(g, add_view(g, m->normals, 12 * n, VERTICES), 0, FLOATS, "VEC3", n, false, NULL, 0);
  int colour =
      add_accessor(g, add_view(g, m->colours, 4 * n, VERTICES), 0, BYTES, "VEC4", n, true, NULL, 0);
  int joints =
      add_accessor(g, add_view(g, m->joints, 8 * n, VERTICES), 0, SHORTS, "VEC4", n, false, NULL, 0);
  int weights =
      add_accessor(g, add_view(g, m->weights, 4 * n, VERTICES), 0, BYTES, "VEC4", n, true, NULL, 0);
  int indices = add_accessor(g, add_view(g, m->indices, 2 * m->num_indices, INDICES), 0, SHORTS,
                             "SCALAR", m->num_indices, false, NULL, 0);
  buffer_print(g->c, out,
               "\"meshes\":[{\"name\":\"figure\",\"primitives\":[{\"attributes\":{\"POSITION\":%d,"
               "\"NORMAL\":%d,\"COLOR_0\":%d,\"JOINTS_0\":%d,\"WEIGHTS_0\":%d},\"indices\":%d,"
               "\"material\":0}]}],\"materials\":[{\"name\":\"figure\",\"pbrMetallicRoughness\":{"
               "\"metallicFactor\":0.0,\"roughnessFactor\":0.7}}],",
               position, normal, colour, joints, weights, indices);
}

void add_text(call *c, buffer *out, const char *text) {
  buffer_add(c, out, "\"", 1);
  for (; *text; text++) {
    if (*text == '"' || *text == '\\')
      buffer_print(c, out, "\\%c", *text);
    else if ((unsigned char)*text < 32)
      buffer_print(c, out, "\\u%04x", (unsigned)(unsigned char)*text);
    else
      buffer_add(c, out, text, 1);
  }
  buffer_add(c, out, "\"", 1);
}

static void add_nodes(glb *g, const mrt_skeleton *s, children tree, double height, bool bone,
                      buffer *out) {
  int32_t joint, i, k;
  buffer_print(g->c, out, "\"nodes\":[");
  for (joint = 0; joint < s->num_joints; joint++) {
    buffer_print(g->c, out, "{\"name\":");
    add_text(g->c, out, s->joint_names[joint]);
    buffer_print(g->c, out, ",\"translation\":[");
    for (k = 0; k < 3; k++) {
      double value = joint ? s->offsets[3 * joint + k] : k == 1 ? height : 0;
      if (k) buffer_add(g->c, out, ",", 1);
      add_number(g->c, out, value);
    }
    buffer_add(g->c, out, "]", 1);
    for (i = tree.first[joint]; i < tree.first[joint + 1]; i++)
      buffer_print(g->c, out, "%s%d", i == tree.first[joint] ? ",\"children\":[" : ",",
                   tree.joints[i]);
    buffer_print(g->c, out, tree.first[joint] < tree.first[joint + 1] ? "]}," : "},");
  }
  if (bone) buffer_print(g->c, out, "{\"name\":\"root\",\"children\":[0]},");
  buffer_print(g->c, out, "{\"name\":\"figure\",\"mesh\":0,\"skin\":0}],");
}

/* A key x y z w, of the sign of the one before, if there is one. */
static void store_key(float *to, quat q, bool has_before) {
  if (has_before && q.x * to[-4] + q.y * to[-3] + q.z * to[-2] + q.w * to[-1] < 0)
    q.w = -q.w, q.x = -q.x, q.y = -q.y, q.z = -q.z;
  to[0] = (float)q.x, to[1] = (float)q.y, to[2] = (float)q.z, to[3] = (float)q.w;
}

static int add_places(glb *g, const float *places, size_t frames) {
  return add_accessor(g, add_view(g, places, 12 * frames, NO_TARGET), 0, FLOATS, "VEC3", frames,
                      false, NULL, 0);
}

/* One track more, of a sampler of its own. */
static void add_track(glb *g, int *count, int time, int output, int32_t node, const char *path,
                      buffer *samplers, buffer *channels) {
  const char *comma = *count ? "," : "";
  buffer_print(g->c, samplers, "%s{\"input\":%d,\"output\":%d}", comma, time, output);
  buffer_print(g->c, channels,
               "%s{\"sampler\":%d,\"target\":{\"node\":%d,\"path\":\"%s\"}}", comma, (*count)++,
               node, path);
}

/* Every frame's rotations, and the root's positions; of a bone below it, too, if there is one. */
static void add_animation(glb *g, const mrt_motion *m, const root_path *bone, buffer *out) {
  call *c = g->c;
  int32_t joints = m->skeleton->num_joints, t, j;
  size_t frames = (size_t)m->num_frames;
  float *times = TEMP(c, float, frames), *rotations = TEMP(c, float, 4 * frames * joints);
  float *root = m->root_positions;
  int time, translation, view, first, tracks = 0;
  buffer channels = {&c->memory, NULL, 0, 0}, samplers = channels;
  for (t = 0; t < m->num_frames; t++) times[t] = (float)(t / m->fps);
  for (j = 0; j < joints; j++)
    for (t = 0; t < m->num_frames; t++) {
      mat3 turn = motion_local(m, t, j);
      if (bone && !j) turn = carried_turn(bone, t, turn);
      store_key(rotations + 4 * ((size_t)j * frames + t), quat_unit(mat_to_quat(turn)), t > 0);
    }
  time = add_accessor(g, add_view(g, times, 4 * frames, NO_TARGET), 0, FLOATS, "SCALAR", frames,
                      false, times, 1);
  if (bone) {
    float *places = TEMP(c, float, 3 * frames), *turns = TEMP(c, float, 4 * frames);
    root = TEMP(c, float, 3 * frames);
    for (t = 0; t < m->num_frames; t++) {
      double half = bone->heading[t] / 2;
      quat turn = {0};
      turn.w = cos(half), turn.y = sin(half);
      vec_store(root + 3 * t, carried_root(m, bone, t));
      vec_store(places + 3 * t, vec(bone->places[t].x, 0, bone->places[t].z));
      store_key(turns + 4 * t, turn, t > 0);
    }
    add_track(g, &tracks, time, add_places(g, places, frames), joints, "translation", &samplers,
              &channels);
    view = add_view(g, turns, 16 * frames, NO_TARGET);
    add_track(g, &tracks, time,
              add_accessor(g, view, 0, FLOATS, "VEC4", frames, false, NULL, 0), joints, "rotation",
              &samplers, &channels);
  }
  translation = add_places(g, root, frames);
  view = add_view(g, rotations, 16 * frames * (size_t)joints, NO_TARGET);
  first = g->num_accessors;
  for (j = 0; j < joints; j++)
    add_accessor(g, view, 16 * frames * (size_t)j, FLOATS, "VEC4", frames, false, NULL, 0);
  add_track(g, &tracks, time, translation, 0, "translation", &samplers, &channels);
  for (j = 0; j < joints; j++)
    add_track(g, &tracks, time, first + j, j, "rotation", &samplers, &channels);
  buffer_print(c, out, "\"animations\":[{\"name\":\"motion\",\"samplers\":[");
  buffer_add(c, out, samplers.bytes, samplers.length);
  buffer_print(c, out, "],\"channels\":[");
  buffer_add(c, out, channels.bytes, channels.length);
  buffer_print(c, out, "],\"extras\":{\"fps\":");
  add_number(c, out, m->fps);
  buffer_print(c, out, "}}],");
}

static void add_word(call *c, buffer *out, size_t value) {
  unsigned char bytes[4];
  int i;
  for (i = 0; i < 4; i++) bytes[i] = (unsigned char)(value >> (8 * i));
  buffer_add(c, out, bytes, 4);
}

void write_glb(call *c, const mrt_motion *m, const wishes *w, buffer *out) {
  const mrt_skeleton *s = m->skeleton;
  int32_t joints = s->num_joints, bones = joints + (w->bone ? 1 : 0), j, i;
  int32_t top = w->bone ? joints : 0;
  children tree = find_children(c, s);
  vec3 *bind = TEMP(c, vec3, joints);
  float *inverse = TEMP(c, float, 16 * bones);
  buffer text = {&c->memory, NULL, 0, 0};
  glb g;
  mesh figure;
  double lowest = 0;
  int matrices;
  size_t total;
  g.c = c;
  g.num_views = g.num_accessors = 0;
  memset(&g.data, 0, sizeof g.data);
  g.data.from = &c->memory;
  g.views = g.accessors = g.data;
  for (j = 0; j < joints; j++) {
    bind[j] = vec_sub(vec_load(s->rest_positions + 3 * j), vec_load(s->rest_positions));
    if (bind[j].y < lowest) lowest = bind[j].y;
  }
  for (j = 0; j < joints; j++) bind[j].y -= lowest; /* the lowest joint on the floor */
  figure = make_figure(c, s, tree, bind);
  if (!figure.num_vertices) fail(c, MRT_BAD_INPUT, "skeleton %s has no bones to draw", s->name);
  buffer_print(c, &text, "{\"asset\":{\"version\":\"2.0\",\"generator\":\"motionrt %s\"},"
                         "\"scene\":0,\"scenes\":[{\"nodes\":[%d,%d]}],",
               MRT_VERSION, top, bones);
  add_mesh(&g, &figure, &text);
  for (j = 0; j < bones; j++) {
    for (i = 0; i < 4; i++) inverse[16 * j + 5 * i] = 1;
    if (j < joints) vec_store(inverse + 16 * j + 12, vec_scale(bind[j], -1));
  }
  matrices = add_accessor(&g, add_view(&g, inverse, 64 * (size_t)bones, NO_TARGET), 0, FLOATS,
                          "MAT4", (size_t)bones, false, NULL, 0);
  add_nodes(&g, s, tree, bind[0].y, w->bone != NULL, &text);
  add_animation(&g, m, w->bone, &text);
  buffer_print(c, &text, "\"skins\":[{\"name\":");
  add_text(c, &text, s->name);
  buffer_print(c, &text, ",\"skeleton\":%d,\"inverseBindMatrices\":%d,\"joints\":[", top,
               matrices);
  for (j = 0; j < bones; j++) buffer_print(c, &text, "%s%d", j ? "," : "", j);
  buffer_print(c, &text, "]}],\"accessors\":[");
  buffer_add(c, &text, g.accessors.bytes, g.accessors.length);
  buffer_print(c, &text, "],\"bufferViews\":[");
  buffer_add(c, &text, g.views.bytes, g.views.length);
  buffer_print(c, &text, "],\"buffers\":[{\"byteLength\":%zu}]}", g.data.length);
  while (text.length % 4) buffer_add(c, &text, " ", 1);
  while (g.data.length % 4) buffer_add(c, &g.data, "\0", 1);
  total = 12 + 8 + text.length + 8 + g.data.length;
  if (total > 0xFFFFFFFFu) fail(c, MRT_BAD_INPUT, "the motion is too long for a .glb file");
  add_word(c, out, 0x46546C67);
  add_word(c, out, 2);
  add_word(c, out, total);
  add_word(c, out, text.length);
  add_word(c, out, 0x4E4F534A);
  buffer_add(c, out, text.bytes, text.length);
  add_word(c, out, g.data.length);
  add_word(c, out, 0x004E4942);
  buffer_add(c, out, g.data.bytes, g.data.length);
}
