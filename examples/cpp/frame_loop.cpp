// A frame loop: a character walks, and jumps a second later: frame_loop BUNDLE FILE.csv
//
// Motions are made on a worker thread. The loop plays what it has, blends into what comes, and moves
// the character by root motion. FILE.csv gets where the character's hips are, frame by frame.
#include <chrono>
#include <cstdio>
#include <future>
#include <optional>
#include <thread>

#include "motionrt.hpp"

namespace {

constexpr double kFrame = 1.0 / 60, kBlend = 0.25;

class Character {
 public:
  float x = 0, z = 0, heading = 0;  // its place on the ground; 0 faces +z
  motionrt::Pose pose;              // under that place

  void play(motionrt::Motion motion) {
    last_ = std::move(motion_);
    last_time_ = time_;
    motion_ = std::move(motion);
    time_ = 0;
  }

  void update(double seconds) {
    if (!motion_) return;
    const uint32_t flags = MRT_LOOP;
    const motionrt::RootDelta by = motion_->root_delta(time_, time_ + seconds, flags);
    x += std::cos(heading) * by.translation[0] + std::sin(heading) * by.translation[2];
    z += std::cos(heading) * by.translation[2] - std::sin(heading) * by.translation[0];
    heading += by.turn_rad;
    time_ += seconds;
    last_time_ += seconds;
    pose = motion_->sample(time_, flags | MRT_IN_PLACE);
    if (last_ && time_ < kBlend)
      pose = motionrt::blend(last_->sample(last_time_, flags | MRT_IN_PLACE), pose,
                             static_cast<float>(time_ / kBlend));
    else
      last_.reset();
  }

 private:
  std::optional<motionrt::Motion> motion_, last_;
  double time_ = 0, last_time_ = 0;
};

}  // namespace

int main(int count, char **arguments) {
  std::FILE *file = count == 3 ? std::fopen(arguments[2], "w") : nullptr;
  if (!file) {
    std::fprintf(stderr, "usage: %s BUNDLE FILE.csv\n", arguments[0]);
    return 2;
  }
  int failed = 0;
  try {
    motionrt::Pipeline pipeline(arguments[1]);
    motionrt::Options options;
    options.seed = 1;
    options.seconds = 2;
    const auto ask = [&](const char *prompt) {
      return std::async(std::launch::async, [&, prompt] { return pipeline.generate(prompt, options); });
    };
    Character character;
    std::future<motionrt::Motion> coming = ask("a person walks forward");
    int num_motions = 0;
    double since = 0;  // seconds since the newest motion began
    auto next = std::chrono::steady_clock::now();
    while (num_motions < 2 || since < 1) {
      if (coming.valid() && coming.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
        const motionrt::Motion made = coming.get();
        std::printf("plays: %s\n", made.prompt().c_str());
        character.play(made);
        num_motions++;
        since = 0;
      }
      character.update(kFrame);
      since += kFrame;
      if (num_motions == 1 && since >= 1 && !coming.valid()) coming = ask("a person jumps");
      if (num_motions)
        std::fprintf(file, "%.5f,%.5f,%.5f,%d\n", character.x, character.pose.root[1], character.z,
                     num_motions);
      std::this_thread::sleep_until(next += std::chrono::microseconds(16667));
    }
  } catch (const motionrt::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    failed = 1;
  }
  std::fclose(file);
  return failed;
}
