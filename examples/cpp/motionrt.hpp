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

#include <cmath>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace motionrt {

class Error : public std::runtime_error {
 public:
  explicit Error(mrt_status code) : std::runtime_error(mrt_last_error()), status(code) {}
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

// The pose some share of the way from one to another: joint by joint, the shorter way round.
inline Pose blend(const Pose &from, const Pose &to, float share) {
  Pose made = to;
  for (int k = 0; k < 3; k++) made.root[k] = from.root[k] + share * (to.root[k] - from.root[k]);
  for (size_t at = 0; at + 4 <= made.rotations.size(); at += 4) {
    const float *a = &from.rotations[at], *b = &to.rotations[at];
    const float dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
    const float angle = std::acos(std::fmin(std::fabs(dot), 1.0f)), sine = std::sin(angle);
    const float one = sine < 1e-4f ? 1 - share : std::sin((1 - share) * angle) / sine;
    const float two = sine < 1e-4f ? share : std::sin(share * angle) / sine;
    for (int k = 0; k < 4; k++) made.rotations[at + k] = one * a[k] + (dot < 0 ? -two : two) * b[k];
  }
  return made;
}

// What root motion moves a character by: metres in its own frame, x to its left and z ahead; and
// its turn about y.
struct RootDelta {
  float translation[3] = {};
  float turn_rad = 0;
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
  // (T x C): 1 where a foot is on the ground; null where the family does not tell.
  const uint8_t *foot_contacts() const { return mrt_motion_foot_contacts(owner_.get()); }
  int32_t num_contacts() const { return info_.num_contacts; }

  Pose sample(double seconds, uint32_t flags = 0) const {
    Pose pose;
    pose.rotations.resize(4 * joints());
    check(mrt_motion_sample(owner_.get(), seconds, flags, pose.root, pose.rotations.data()));
    return pose;
  }
  RootDelta root_delta(double from, double to, uint32_t flags = 0) const {
    RootDelta delta;
    check(mrt_motion_root_delta(owner_.get(), from, to, flags, delta.translation, &delta.turn_rad));
    return delta;
  }
  // A finished copy, as mrt_motion_finish says; how a loop was cut goes to loop, if it is given.
  Motion finish(const mrt_finish_options &options, mrt_loop_info *loop = nullptr) const {
    mrt_motion *made = nullptr;
    check(mrt_motion_finish(owner_.get(), &options, loop, &made));
    return Motion(made);
  }
  // This motion and then another, the one fading into the other.
  Motion blend(const Motion &second, double seconds = 0.4) const {
    mrt_motion *made = nullptr;
    check(mrt_motion_blend(owner_.get(), second.handle(), seconds, &made));
    return Motion(made);
  }
  bool is_loop() const { return info_.is_loop; }
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

// What motionrt.h says of mrt_generate_options; an empty text or list is the default.
struct Options {
  int64_t seed = -1;
  double seconds = 5;
  int32_t num_frames = 0;
  int32_t num_samples = 1;
  int32_t num_steps = 0;
  std::string solver, preset;
  std::vector<float> guidance_weights;
  std::string constraints_json;
  std::vector<mrt_constraint> constraints;
  float first_heading_rad = 0;
  int32_t postprocess = -1;
  const Motion *continue_from = nullptr;
  std::vector<float> embedding;
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

  mrt_pipeline_info info() const {
    mrt_pipeline_info told;
    mrt_pipeline_info_init(&told);
    check(mrt_pipeline_get_info(handle_.get(), &told));
    return told;
  }

  // What Options::embedding takes instead of a prompt, later and without a text encoder.
  std::vector<float> embed(const std::string &prompt) {
    std::vector<float> embedding(static_cast<size_t>(info().text_width));
    check(mrt_embed(handle_.get(), prompt.c_str(), embedding.data(),
                    static_cast<int32_t>(embedding.size())));
    return embedding;
  }

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
    return listed(made);
  }

  std::vector<Motion> generate_many(const std::vector<std::string> &prompts,
                                    const Options &options = {}) {
    std::vector<const char *> texts;
    for (const auto &prompt : prompts) texts.push_back(prompt.c_str());
    mrt_motions *made = nullptr;
    Given given(options);
    check(mrt_generate_many(handle_.get(), texts.data(), static_cast<int32_t>(texts.size()),
                            &given.c, &made));
    return listed(made);
  }

  // A line of `motionrt gen --batch`; files that it names are looked up in folder.
  std::vector<Motion> generate_json(const std::string &request, const std::string &folder = ".") {
    mrt_motions *made = nullptr;
    check(mrt_generate_json(handle_.get(), request.c_str(), folder.c_str(), nullptr, &made));
    return listed(made);
  }

 private:
  static std::vector<Motion> listed(mrt_motions *made) {
    std::shared_ptr<mrt_motions> list(made, mrt_motions_free);
    std::vector<Motion> motions;
    for (int32_t i = 0; i < mrt_motions_count(made); i++)
      motions.emplace_back(list, mrt_motions_get(made, i));
    return motions;
  }

  // The C options, whose pointers live as long as this.
  struct Given {
    explicit Given(const Options &options) : progress(options.progress) {
      mrt_generate_options_init(&c);
      c.seed = options.seed;
      c.seconds = options.seconds;
      c.num_frames = options.num_frames;
      c.num_samples = options.num_samples;
      c.num_steps = options.num_steps;
      c.solver = text(options.solver);
      c.preset = text(options.preset);
      c.guidance_weights = options.guidance_weights.data();
      c.num_guidance_weights = static_cast<int32_t>(options.guidance_weights.size());
      c.constraints_json = text(options.constraints_json);
      c.constraints = options.constraints.data();
      c.num_constraints = static_cast<int32_t>(options.constraints.size());
      c.first_heading_rad = options.first_heading_rad;
      c.postprocess = options.postprocess;
      c.continue_from = options.continue_from ? options.continue_from->handle() : nullptr;
      c.embedding = options.embedding.empty() ? nullptr : options.embedding.data();
      if (progress) {
        c.progress = [](void *user, const char *stage, int32_t done, int32_t total) {
          return static_cast<Given *>(user)->progress(stage, done, total);
        };
        c.progress_user = this;
      }
    }
    static const char *text(const std::string &given) {
      return given.empty() ? nullptr : given.c_str();
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
