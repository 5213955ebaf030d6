/* What the library does on another system, written to files that are compared with this one's:
 *
 *     platform BUNDLE ONNXRUNTIME EMBEDDING FOLDER
 *
 * EMBEDDING holds the text's floats; if there is no such file, it is made here. The numbers of a
 * motion are its root, rotations and features.
 */
#include "motionrt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT "a person walks forward"
#define UNICODE_NAME "\xc3\xbc\xe5\x8b\x95.bvh"

static const char *bundle, *folder;
static mrt_pipeline *pipeline;
static float *embedding;

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, mrt_last_error());
  exit(1);
}

static const char *in_folder(const char *name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void write_floats(const char *name, const float *values, size_t count) {
  FILE *file = fopen(in_folder(name), "ab");
  if (!file || fwrite(values, sizeof(float), count, file) != count || fclose(file)) {
    perror(name);
    exit(1);
  }
}

static void write_motion(const char *name, const mrt_motion *motion) {
  mrt_motion_info info;
  size_t frames;
  mrt_motion_info_init(&info);
  mrt_motion_get_info(motion, &info);
  frames = (size_t)info.num_frames;
  write_floats(name, mrt_motion_root_positions(motion), frames * 3);
  write_floats(name, mrt_motion_local_rotations(motion), frames * (size_t)info.num_joints * 4);
  write_floats(name, mrt_motion_features(motion), frames * (size_t)info.num_features);
}

/* The bundle's files from memory. */
static const void *hand_out(void *user, const char *name, size_t *num_bytes) {
  static struct {
    char name[64];
    char *bytes;
    size_t length;
  } files[16];
  char path[4096];
  FILE *file;
  int i;
  (void)user;
  for (i = 0; i < 16 && files[i].bytes && strcmp(files[i].name, name); i++) continue;
  if (i == 16) return NULL;
  if (!files[i].bytes) {
    snprintf(path, sizeof path, "%s/%s", bundle, name);
    file = fopen(path, "rb");
    if (!file) return NULL;
    snprintf(files[i].name, sizeof files[i].name, "%s", name);
    fseek(file, 0, SEEK_END);
    files[i].length = (size_t)ftell(file);
    rewind(file);
    files[i].bytes = malloc(files[i].length + 1);
    if (fread(files[i].bytes, 1, files[i].length, file) != files[i].length) return NULL;
    fclose(file);
  }
  *num_bytes = files[i].length;
  return files[i].bytes;
}

/* Calls from a call, then ends it. */
static bool busy_then_stop(void *user, const char *stage, int32_t done, int32_t total) {
  mrt_motion *motion;
  (void)stage, (void)total;
  if (done == 0) return true;
  *(mrt_status *)user = mrt_generate(pipeline, "waves", NULL, &motion);
  return false;
}

static mrt_generate_options usual(void) {
  mrt_generate_options options;
  mrt_generate_options_init(&options);
  options.seed = 3;
  options.num_frames = 24;
  options.num_steps = 6;
  options.embedding = embedding;
  return options;
}

static mrt_motion *generate(mrt_pipeline *from, const char *prompt, mrt_generate_options options) {
  mrt_motion *motion;
  if (mrt_generate(from, prompt, &options, &motion)) fail(prompt);
  return motion;
}

static void read_embedding(const char *path, int32_t width) {
  FILE *file = fopen(path, "rb");
  float *own = calloc((size_t)width, sizeof *own);
  embedding = calloc((size_t)width, sizeof *embedding);
  if (mrt_embed(pipeline, PROMPT, own, width)) fail("embed");
  write_floats("text.f32", own, (size_t)width);
  if (!file) memcpy(embedding, own, (size_t)width * sizeof *own);
  else if (fread(embedding, sizeof *own, (size_t)width, file) != (size_t)width) exit(1);
  else fclose(file);
  free(own);
}

int main(int count, char **arguments) {
  static const char constraints[] =
      "[{\"type\": \"root2d\", \"frame_indices\": [0, 12, 23], \"smooth_root_2d\": [[0, 0], [0.3, "
      "0.4], [0.2, 1]]}]";
  static const char *const prompts[] = {PROMPT, PROMPT};
  static const char request[] = "{\"prompt\": \"\", \"num_frames\": [20], \"num_samples\": 2, "
                                "\"seed\": 5, \"num_steps\": 4}";
  const double seconds[] = {1, 1.2};
  mrt_load_options load;
  mrt_generate_options options;
  mrt_pipeline_info info;
  mrt_pipeline *other;
  mrt_motion *walk, *motion;
  mrt_motions *motions;
  mrt_status inner = MRT_OK;
  float *both;
  int32_t i;
  if (count != 5) return 2;
  bundle = arguments[1], folder = arguments[4];
  mrt_load_options_init(&load);
  load.onnxruntime = arguments[2];
  if (mrt_pipeline_load(in_folder("nothing"), &load, &other) != MRT_BAD_BUNDLE ||
      !strstr(mrt_last_error(), "manifest.json"))
    fail("a bundle that is not there");
  if (mrt_pipeline_load(bundle, &load, &pipeline)) fail(bundle);
  mrt_pipeline_info_init(&info);
  mrt_pipeline_get_info(pipeline, &info);
  read_embedding(arguments[3], info.text_width);

  walk = generate(pipeline, PROMPT, usual());
  write_motion("walk.f32", walk);
  if (mrt_motion_save(walk, in_folder(UNICODE_NAME))) fail("bvh");
  if (mrt_motion_save(walk, in_folder("walk.glb"))) fail("glb");

  options = usual();
  options.embedding = NULL;
  write_motion("prompt.f32", motion = generate(pipeline, PROMPT, options));
  mrt_motion_free(motion);

  options = usual();
  options.constraints_json = constraints;
  write_motion("path.f32", motion = generate(pipeline, PROMPT, options));
  mrt_motion_free(motion);

  options = usual();
  options.num_frames = 0;
  both = calloc(2 * (size_t)info.text_width, sizeof *both);
  for (i = 0; i < 2; i++)
    memcpy(both + i * info.text_width, embedding, (size_t)info.text_width * sizeof *both);
  options.embedding = both;
  if (mrt_generate_sequence(pipeline, prompts, seconds, 2, &options, &motions)) fail("sequence");
  write_motion("sequence.f32", mrt_motions_get(motions, 0));
  mrt_motions_free(motions);
  free(both);

  if (mrt_generate_json(pipeline, request, NULL, NULL, &motions)) fail("request");
  for (i = 0; i < mrt_motions_count(motions); i++)
    write_motion("request.f32", mrt_motions_get(motions, i));
  mrt_motions_free(motions);

  options = usual();
  options.progress = busy_then_stop;
  options.progress_user = &inner;
  if (mrt_generate(pipeline, PROMPT, &options, &motion) != MRT_CANCELLED || inner != MRT_BUSY)
    fail("a call within a call, then stopped");

  if (mrt_pipeline_load_files(hand_out, NULL, &load, &other)) fail("from memory");
  motion = generate(other, PROMPT, usual());
  if (memcmp(mrt_motion_features(motion), mrt_motion_features(walk),
             24 * (size_t)info.num_features * sizeof(float)))
    fail("another motion from memory");
  mrt_motion_free(motion);
  mrt_pipeline_free(other);
  mrt_motion_free(walk);
  mrt_pipeline_free(pipeline);
  free(embedding);
  printf("motionrt %s, ONNX Runtime %s\n", mrt_version(), mrt_onnxruntime_version());
  return 0;
}
