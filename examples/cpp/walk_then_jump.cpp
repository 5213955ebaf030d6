// Two prompts as one motion, on a worker thread, as a game would: walk_then_jump BUNDLE FILE.glb
#include <cstdio>
#include <future>

#include "motionrt.hpp"

int main(int count, char **arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: %s BUNDLE FILE.glb\n", arguments[0]);
    return 2;
  }
  try {
    motionrt::Pipeline pipeline(arguments[1]);
    motionrt::Options options;
    options.seed = 4;
    options.preset = "fast";
    auto coming = std::async(std::launch::async, [&] {
      return pipeline.generate_sequence({"a person walks forward", "a person jumps"}, {3.0, 2.0},
                                        options);
    });
    // The frame loop would go on here, and look whether the motion is ready.
    const motionrt::Motion motion = coming.get().front();
    for (double seconds = 0; seconds < motion.seconds(); seconds += 1) {
      const motionrt::Pose pose = motion.sample(seconds);
      std::printf("%.0f s: hips at %.2f %.2f %.2f\n", seconds, pose.root[0], pose.root[1],
                  pose.root[2]);
    }
    motion.save(arguments[2]);
  } catch (const motionrt::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
