/* A motion that goes on for ever, while what it does is changed:
 *
 *     stream BUNDLE "a person walks" "a person waves" stream.bvh
 *
 * plays six seconds frame by frame, as a game would, asks for the second prompt after two and for a
 * place on the floor after four, and writes what was played. BUNDLE is one of ARDY's. */
#include <motionrt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RATE = 60, SECONDS = 6 };

static float *roots, *rotations; /* what was played, (T, 3) and (T, J, 4) */
static int32_t num_played;

static int keep(const mrt_motion *chunk) {
  mrt_motion_info info;
  size_t joints;
  mrt_motion_info_init(&info);
  mrt_motion_get_info(chunk, &info);
  joints = (size_t)info.num_joints;
  roots = realloc(roots, (size_t)(num_played + info.num_frames) * 3 * sizeof *roots);
  rotations =
      realloc(rotations, (size_t)(num_played + info.num_frames) * joints * 4 * sizeof *rotations);
  if (!roots || !rotations) return 1;
  memcpy(roots + 3 * (size_t)num_played, mrt_motion_root_positions(chunk),
         (size_t)info.num_frames * 3 * sizeof *roots);
  memcpy(rotations + 4 * joints * (size_t)num_played, mrt_motion_local_rotations(chunk),
         (size_t)info.num_frames * joints * 4 * sizeof *rotations);
  num_played += info.num_frames;
  return 0;
}

/* What the player does: at which frame of the game. */
static mrt_status steer(mrt_stream *stream, int frame, const char *prompt) {
  if (frame == 2 * RATE) return mrt_stream_prompt(stream, prompt);
  if (frame == 4 * RATE) return mrt_stream_goal(stream, 1, 2, 1.5, NULL);
  return MRT_OK;
}

static int play(mrt_stream *stream, const char *prompt) {
  int frame;
  for (frame = 0; frame < SECONDS * RATE; frame++) {
    mrt_motion *chunk; /* NULL when none falls due: the game shows the pose that it has */
    if (steer(stream, frame, prompt) || mrt_stream_advance(stream, 1.0 / RATE, &chunk)) return 1;
    if (chunk && keep(chunk)) return 1;
    mrt_motion_free(chunk);
  }
  return 0;
}

static int save(mrt_pipeline *pipeline, const char *path) {
  mrt_motion_arrays arrays;
  mrt_pipeline_info info;
  mrt_motion *whole;
  mrt_status status;
  mrt_motion_arrays_init(&arrays);
  mrt_pipeline_info_init(&info);
  mrt_pipeline_get_info(pipeline, &info);
  arrays.fps = info.fps;
  arrays.num_frames = num_played;
  arrays.root_positions = roots;
  arrays.local_rotations = rotations;
  if (mrt_motion_make(mrt_pipeline_skeleton(pipeline), &arrays, &whole)) return 1;
  status = mrt_motion_save(whole, path);
  mrt_motion_free(whole);
  if (status == MRT_OK)
    printf("%s: %d frames at %g fps\n", path, (int)num_played, info.fps);
  return status != MRT_OK;
}

int main(int count, char **arguments) {
  mrt_stream_options options;
  mrt_pipeline *pipeline = NULL;
  mrt_stream *stream = NULL;
  int failed;
  if (count != 5) {
    fprintf(stderr, "usage: %s BUNDLE PROMPT NEXT_PROMPT FILE.bvh|FILE.glb\n", arguments[0]);
    return 2;
  }
  mrt_stream_options_init(&options);
  options.seed = 1;
  options.prompt = arguments[2];
  failed = mrt_pipeline_load(arguments[1], NULL, &pipeline) ||
           mrt_stream_open(pipeline, &options, &stream) || play(stream, arguments[3]) ||
           save(pipeline, arguments[4]);
  if (failed) fprintf(stderr, "%s\n", mrt_last_error());
  mrt_stream_free(stream);
  mrt_pipeline_free(pipeline);
  free(roots);
  free(rotations);
  return failed;
}
