/* Streams of a bundle from the start, again and again: one thread makes frames ahead, one fetches and
 * steers. Prints the resident kilobytes after each hundred chunks. BUNDLE ONNXRUNTIME CYCLES CHUNKS */
#include "motionrt.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct saved {
  char bytes[1 << 20];
  size_t length;
} saved;

static saved state;
static mrt_stream *stream;
static volatile int ended;

static bool keep(void *user, const void *bytes, size_t num_bytes) {
  saved *s = user;
  if (s->length + num_bytes > sizeof s->bytes) return false;
  memcpy(s->bytes + s->length, bytes, num_bytes);
  s->length += num_bytes;
  return true;
}

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

static int is_ended(void) {
  int value;
  pthread_mutex_lock(&guard);
  value = ended;
  pthread_mutex_unlock(&guard);
  return value;
}

static void *make_ahead(void *unused) {
  const struct timespec moment = {0, 1000000}; /* so that it does not spin while all is ready */
  (void)unused;
  while (!is_ended()) {
    if (mrt_stream_make(stream, 8)) return (void *)"making ahead";
    nanosleep(&moment, NULL);
  }
  return NULL;
}

static long resident(void) {
  long size, pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2) pages = 0;
  if (file) fclose(file);
  return pages * 4;
}

/* Steer in another way each time; whether it was refused as it should be. */
static int steer(int chunk) {
  static const char *const prompts[] = {"walks", "jumps", "waves both arms", ""};
  const float speed[2] = {0.5f, (float)(chunk % 5) / 4}, heading = 1;
  const float numbers[8] = {1, 0, (float)(chunk % 3), 2, -1, 0, 1, 0.5f};
  mrt_stream_info info;
  mrt_stream_info_init(&info);
  switch (chunk % 8) {
    case 0:
      if (chunk / 8 % 5 == 0)
        return mrt_stream_prompt_embedding(stream, "by numbers", numbers, 1, NULL);
      return mrt_stream_prompt(stream, prompts[chunk / 8 % 4]);
    case 1: return mrt_stream_goal(stream, 1, (float)(chunk % 7), 1.5, &heading);
    case 2: return mrt_stream_velocity(stream, speed);
    case 3: return mrt_stream_replan(stream, -1);
    case 4: return mrt_stream_velocity(stream, NULL);
    case 5: return mrt_stream_prompt(stream, "flies") != MRT_BAD_INPUT;
    case 6:
      return mrt_stream_constraints(stream, "[{\"type\":\"root2d\",\"frame_indices\":[9],"
                                            "\"smooth_root_2d\":[[0,1]]}]");
    default:
      if (mrt_stream_get_info(stream, &info) || info.held_frames > 120) return 1;
      return mrt_stream_clear(stream);
  }
}

/* Frames at a controller's rate, for a while. */
static int play_fast(void) {
  mrt_control_rate *rate;
  int i, failed = mrt_control_rate_open(stream, 250, 0, &rate);
  for (i = 0; i < 20 && !failed; i++) {
    mrt_motion *motion;
    failed = mrt_control_rate_advance(rate, 0.009, &motion);
    mrt_motion_free(motion);
  }
  mrt_control_rate_free(rate);
  return failed;
}

static int play(int chunks) {
  int chunk;
  for (chunk = 0; chunk < chunks; chunk++) {
    mrt_motion *motion;
    if (steer(chunk)) return fprintf(stderr, "steering %d: %s\n", chunk, mrt_last_error()), 1;
    if (mrt_stream_advance(stream, 0.13, &motion)) return 1;
    mrt_motion_free(motion);
    if (chunk % 20 == 3 && play_fast()) return 1;
    if (chunk % 50 == 7) {
      state.length = 0;
      if (mrt_stream_snapshot(stream, keep, &state)) return 1;
      if (mrt_stream_restore(stream, state.bytes, state.length / 2) != MRT_BAD_INPUT) return 1;
      if (mrt_stream_restore(stream, state.bytes, state.length)) return 1;
    }
    if (chunk % 100 == 99) printf("%ld\n", resident());
  }
  return 0;
}

int main(int count, char **arguments) {
  int i, cycles = atoi(arguments[3]), failed = 0;
  (void)count;
  for (i = 0; i < cycles && !failed; i++) {
    mrt_pipeline *pipeline;
    mrt_load_options load;
    mrt_stream_options options;
    pthread_t worker;
    void *line;
    mrt_load_options_init(&load);
    load.onnxruntime = arguments[2];
    load.threads = 1;
    mrt_stream_options_init(&options);
    options.prompt = "walks";
    options.seed = i;
    if (mrt_pipeline_load(arguments[1], &load, &pipeline) ||
        mrt_stream_open(pipeline, &options, &stream))
      return fprintf(stderr, "%s\n", mrt_last_error()), 1;
    ended = 0;
    pthread_create(&worker, NULL, make_ahead, NULL);
    failed = play(atoi(arguments[4]));
    if (failed) fprintf(stderr, "%s\n", mrt_last_error());
    pthread_mutex_lock(&guard);
    ended = 1;
    pthread_mutex_unlock(&guard);
    pthread_join(worker, &line);
    failed |= line != NULL;
    mrt_stream_free(stream);
    mrt_pipeline_free(pipeline);
    printf("%ld\n", resident());
  }
  return failed;
}
