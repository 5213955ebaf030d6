/* Loads a bundle, generates, finishes and frees all of it, again and again; prints the resident kilobytes. The
 * last argument leaks a motion each time, for the tests of the tests. */
#include "motionrt.h"

#include <stdio.h>
#include <stdlib.h>

/* Led in from the rest pose it is long enough to be a loop; what is refused must leave nothing, too. */
static int finish(const mrt_motion *motion) {
  mrt_motion *led, *loop, *both, *none;
  mrt_finish_options options;
  mrt_finish_options_init(&options);
  options.fps = 60;
  options.mirror = options.from_rest = options.to_rest = true;
  if (mrt_motion_finish(motion, &options, NULL, &led)) return 1;
  mrt_finish_options_init(&options);
  options.loop = options.in_place = true;
  if (mrt_motion_finish(motion, &options, NULL, &none) != MRT_BAD_INPUT) return 1;
  if (mrt_motion_finish(led, &options, NULL, &loop) || mrt_motion_blend(led, loop, 0.1, &both))
    return 1;
  options.speed = 1e-9;
  if (mrt_motion_finish(led, &options, NULL, &none) != MRT_BAD_INPUT) return 1;
  mrt_motion_free(led);
  mrt_motion_free(loop);
  mrt_motion_free(both);
  return 0;
}

int main(int count, char **arguments) {
  int i, cycles = atoi(arguments[3]);
  for (i = 0; i < cycles; i++) {
    mrt_pipeline *pipeline;
    mrt_motion *motion;
    mrt_load_options load;
    mrt_generate_options options;
    mrt_pipeline_info info;
    const char *prompt = i % 2 ? "walks" : "jumps and runs";
    long size, resident;
    FILE *file;
    mrt_load_options_init(&load);
    load.onnxruntime = arguments[2];
    load.threads = 1;
    mrt_generate_options_init(&options);
    options.num_frames = 2 + i % 4;
    options.num_steps = 1;
    options.seed = i;
    mrt_pipeline_info_init(&info);
    if (mrt_pipeline_load(arguments[1], &load, &pipeline) ||
        mrt_pipeline_get_info(pipeline, &info) ||
        mrt_generate(pipeline, info.has_text_encoder ? prompt : "", &options, &motion) ||
        finish(motion))
      return fprintf(stderr, "%s\n", mrt_last_error()), 1;
    if (count < 5) mrt_motion_free(motion);
    mrt_pipeline_free(pipeline);
    file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &size, &resident) != 2) return 1;
    fclose(file);
    printf("%ld\n", resident * 4);
  }
  return 0;
}
