// motionrt for C++17: handles that free themselves, errors as exceptions.
//
//   motionrt::Pipeline pipeline("bundle");
//   motionrt::Options options;
//   options.seed = 1;
//   auto motion = pipeline.generate("a person walks forward", options);
//   motion.save("walk.bvh");
#ifndef MOTIONRT_HPP
#define MOTIONRT_HPP

#include <motionrt.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace motionrt {

class Error : public std::runtime_error {
 public:
  explicit Error(mrt_status status) : std::runtime_error(mrt_last_error()), status(status) {}
  const mrt_status status;
};

inline void check(mrt_status status) {
  if (status != MRT_OK) throw Error(status);
}

// Numbers that belong to a motion or skeleton: rows of `width` floats.
struct Rows {
  const float *data = nullptr;
  size_t count = 0, width = 0;
  const float *operator[](size_t row) const { return data + row * width; }
  explicit operator bool() const { return data != nullptr; }
};

class Skeleton {
 public:
  explicit Skeleton(const mrt_skeleton *handle) : handle_(handle) {}
  std::string name() const { return mrt_skeleton_name(handle_); }
  int32_t size() const { return mrt_skeleton_num_joints(handle_); }
  std::string joint_name(int32_t joint) const {
    const char *found = mrt_skeleton_joint_name(handle_, joint);
    return found ? found : "";
  }
  int32_t find(const std::string &joint) const {
    return mrt_skeleton_find_joint(handle_, joint.c_str());
  }
  int32_t parent(int32_t joint) const { return mrt_skeleton_parents(handle_)[joint]; }
  Rows rest_offsets() const {
    return {mrt_skeleton_rest_offsets(handle_), static_cast<size_t>(size()), 3};
  }

 private:
  const mrt_skeleton *handle_;
};

struct Pose {
  float root[3] = {};
  std::vector<float> rotations;  // w x y z of each joint
};

class Motion {
 public:
  explicit Motion(mrt_motion *handle)
      : owner_(handle, [](const mrt_motion *m) { mrt_motion_free(const_cast<mrt_motion *>(m)); }) {
    read();
  }
  // One of a list, which lives as long as any of its motions.
  Motion(std::shared_ptr<mrt_motions> list, const mrt_motion *motion) : owner_(list, motion) {
    read();
  }

  int32_t num_frames() const { return info_.num_frames; }
  int32_t num_joints() const { return info_.num_joints; }
  double fps() const { return info_.fps; }
  double seconds() const { return info_.seconds; }
  uint32_t seed() const { return info_.seed; }
  std::string prompt() const { return info_.prompt; }
  Skeleton skeleton() const { return Skeleton(mrt_motion_skeleton(owner_.get())); }

  Rows root_positions() const { return {mrt_motion_root_positions(owner_.get()), frames(), 3}; }
  Rows local_rotations() const {
    return {mrt_motion_local_rotations(owner_.get()), frames() * joints(), 4};
  }
  Rows global_positions() const {
    return {mrt_motion_global_positions(owner_.get()), frames() * joints(), 3};
  }

  Pose sample(double seconds, uint32_t flags = 0) const {
    Pose pose;
    pose.rotations.resize(4 * joints());
    check(mrt_motion_sample(owner_.get(), seconds, flags, pose.root, pose.rotations.data()));
    return pose;
  }
  void save(const std::string &path) const { check(mrt_motion_save(owner_.get(), path.c_str())); }
  const mrt_motion *handle() const { return owner_.get(); }

 private:
  void read() {
    mrt_motion_info_init(&info_);
    check(mrt_motion_get_info(owner_.get(), &info_));
  }
  size_t frames() const { return static_cast<size_t>(info_.num_frames); }
  size_t joints() const { return static_cast<size_t>(info_.num_joints); }

  std::shared_ptr<const mrt_motion> owner_;
  mrt_motion_info info_;
};

struct Options {
  int64_t seed = -1;
  double seconds = 5;
  int32_t num_samples = 1;
  int32_t num_steps = 0;
  std::string preset;
  std::string constraints_json;
  float first_heading_rad = 0;
  // Told how far it is; false stops.
  std::function<bool(const char *stage, int32_t done, int32_t total)> progress;
};

class Pipeline {
 public:
  explicit Pipeline(const std::string &folder, int32_t threads = 0,
                    const std::string &onnxruntime = "") {
    mrt_load_options options;
    mrt_load_options_init(&options);
    options.threads = threads;
    options.onnxruntime = onnxruntime.empty() ? nullptr : onnxruntime.c_str();
    mrt_pipeline *handle = nullptr;
    check(mrt_pipeline_load(folder.c_str(), &options, &handle));
    handle_.reset(handle);
  }

  Skeleton skeleton() const { return Skeleton(mrt_pipeline_skeleton(handle_.get())); }

  Motion generate(const std::string &prompt, const Options &options = {}) {
    mrt_motion *made = nullptr;
    Given given(options);
    check(mrt_generate(handle_.get(), prompt.c_str(), &given.c, &made));
    return Motion(made);
  }

  std::vector<Motion> generate_sequence(const std::vector<std::string> &prompts,
                                        const std::vector<double> &seconds,
                                        const Options &options = {}) {
    std::vector<const char *> texts;
    for (const auto &prompt : prompts) texts.push_back(prompt.c_str());
    if (seconds.size() != prompts.size())
      throw std::invalid_argument("a number of seconds is needed for each prompt");
    mrt_motions *made = nullptr;
    Given given(options);
    check(mrt_generate_sequence(handle_.get(), texts.data(), seconds.data(),
                                static_cast<int32_t>(texts.size()), &given.c, &made));
    std::shared_ptr<mrt_motions> list(made, mrt_motions_free);
    std::vector<Motion> motions;
    for (int32_t i = 0; i < mrt_motions_count(made); i++)
      motions.emplace_back(list, mrt_motions_get(made, i));
    return motions;
  }

 private:
  // The C options, whose pointers live as long as this.
  struct Given {
    explicit Given(const Options &options) : progress(options.progress) {
      mrt_generate_options_init(&c);
      c.seed = options.seed;
      c.seconds = options.seconds;
      c.num_samples = options.num_samples;
      c.num_steps = options.num_steps;
      c.preset = options.preset.empty() ? nullptr : options.preset.c_str();
      c.constraints_json =
          options.constraints_json.empty() ? nullptr : options.constraints_json.c_str();
      c.first_heading_rad = options.first_heading_rad;
      if (progress) {
        c.progress = [](void *user, const char *stage, int32_t done, int32_t total) {
          return static_cast<Given *>(user)->progress(stage, done, total);
        };
        c.progress_user = this;
      }
    }
    mrt_generate_options c;
    std::function<bool(const char *, int32_t, int32_t)> progress;
  };
  struct Free {
    void operator()(mrt_pipeline *pipeline) const { mrt_pipeline_free(pipeline); }
  };
  std::unique_ptr<mrt_pipeline, Free> handle_;
};

}  // namespace motionrt
#endif
