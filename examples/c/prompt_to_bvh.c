/* A prompt becomes an animated skeleton: prompt_to_bvh BUNDLE "a person walks forward" walk.bvh */
#include <motionrt.h>
#include <stdio.h>

static bool show(void *user, const char *stage, int32_t done, int32_t total) {
  (void)user;
  fprintf(stderr, "\r%s %d/%d  ", stage, (int)done, (int)total);
  return true; /* false would stop */
}

int main(int count, char **arguments) {
  mrt_generate_options options;
  mrt_pipeline *pipeline = NULL;
  mrt_motion *motion = NULL;
  mrt_motion_info info;
  int failed = 1;

  if (count != 4) {
    fprintf(stderr, "usage: %s BUNDLE PROMPT FILE.bvh|FILE.glb\n", arguments[0]);
    return 2;
  }
  mrt_generate_options_init(&options);
  mrt_motion_info_init(&info);
  options.seed = 1;
  options.seconds = 4;
  options.progress = show;

  if (mrt_pipeline_load(arguments[1], NULL, &pipeline) == MRT_OK &&
      mrt_generate(pipeline, arguments[2], &options, &motion) == MRT_OK &&
      mrt_motion_get_info(motion, &info) == MRT_OK &&
      mrt_motion_save(motion, arguments[3]) == MRT_OK) {
    printf("%s: %d frames of %d joints at %g fps\n", arguments[3], (int)info.num_frames,
           (int)info.num_joints, info.fps);
    failed = 0;
  } else {
    fprintf(stderr, "%s\n", mrt_last_error());
  }
  mrt_motion_free(motion);
  mrt_pipeline_free(pipeline);
  return failed;
}
