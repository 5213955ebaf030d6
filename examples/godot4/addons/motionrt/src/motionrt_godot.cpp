#include "motionrt_godot.hpp"

#include <cmath>
#include <cstring>
#include <vector>

namespace godot {

namespace {

String outcome(mrt_status status) {
  return status == MRT_OK ? String() : String::utf8(mrt_last_error());
}

} // namespace

MotionrtMotion::~MotionrtMotion() { mrt_motion_free(handle); }

void MotionrtMotion::take(mrt_motion *made) {
  mrt_motion_free(handle);
  handle = made;
}

double MotionrtMotion::get_seconds() const {
  mrt_motion_info info;
  mrt_motion_info_init(&info);
  return mrt_motion_get_info(handle, &info) == MRT_OK ? info.seconds : 0;
}

PackedStringArray MotionrtMotion::get_joint_names() const {
  const mrt_skeleton *skeleton = mrt_motion_skeleton(handle);
  PackedStringArray names;
  for (int32_t joint = 0; joint < mrt_skeleton_num_joints(skeleton); joint++)
    names.push_back(String::utf8(mrt_skeleton_joint_name(skeleton, joint)));
  return names;
}

PackedInt32Array MotionrtMotion::get_parents() const {
  const mrt_skeleton *skeleton = mrt_motion_skeleton(handle);
  PackedInt32Array parents;
  for (int32_t joint = 0; joint < mrt_skeleton_num_joints(skeleton); joint++)
    parents.push_back(mrt_skeleton_parents(skeleton)[joint]);
  return parents;
}

PackedFloat32Array MotionrtMotion::get_rest_offsets() const {
  const mrt_skeleton *skeleton = mrt_motion_skeleton(handle);
  PackedFloat32Array offsets;
  for (int32_t i = 0; i < 3 * mrt_skeleton_num_joints(skeleton); i++)
    offsets.push_back(mrt_skeleton_rest_offsets(skeleton)[i]);
  return offsets;
}

PackedFloat32Array MotionrtMotion::sample(double seconds, int flags) const {
  const int32_t joints = mrt_skeleton_num_joints(mrt_motion_skeleton(handle));
  float root[3];
  std::vector<float> turns(4 * static_cast<size_t>(joints));
  PackedFloat32Array pose;
  if (mrt_motion_sample(handle, seconds, static_cast<uint32_t>(flags), root, turns.data()) != MRT_OK)
    return pose;
  for (const float part : root) pose.push_back(part);
  for (size_t at = 0; at < turns.size(); at += 4) // Godot's quaternions are x y z w
    for (const size_t part : {1, 2, 3, 0}) pose.push_back(turns[at + part]);
  return pose;
}

Transform3D MotionrtMotion::get_root_motion(double from, double to, int flags) const {
  float way[3] = {}, turn = 0;
  mrt_motion_root_delta(handle, from, to, static_cast<uint32_t>(flags), way, &turn);
  return Transform3D(Basis(Vector3(0, 1, 0), turn), Vector3(way[0], way[1], way[2]));
}

String MotionrtMotion::save(const String &path) const {
  return outcome(mrt_motion_save(handle, path.utf8().get_data()));
}

void MotionrtMotion::_bind_methods() {
  ClassDB::bind_method(D_METHOD("get_seconds"), &MotionrtMotion::get_seconds);
  ClassDB::bind_method(D_METHOD("get_joint_names"), &MotionrtMotion::get_joint_names);
  ClassDB::bind_method(D_METHOD("get_parents"), &MotionrtMotion::get_parents);
  ClassDB::bind_method(D_METHOD("get_rest_offsets"), &MotionrtMotion::get_rest_offsets);
  ClassDB::bind_method(D_METHOD("sample", "seconds", "flags"), &MotionrtMotion::sample);
  ClassDB::bind_method(D_METHOD("get_root_motion", "from", "to", "flags"), &MotionrtMotion::get_root_motion);
  ClassDB::bind_method(D_METHOD("save", "path"), &MotionrtMotion::save);
  ClassDB::bind_integer_constant(get_class_static(), StringName(), "LOOP", LOOP);
  ClassDB::bind_integer_constant(get_class_static(), StringName(), "IN_PLACE", IN_PLACE);
}

MotionrtPipeline::~MotionrtPipeline() { mrt_pipeline_free(handle); }

String MotionrtPipeline::open(const String &folder) {
  mrt_pipeline *opened = nullptr;
  const mrt_status status = mrt_pipeline_load(folder.utf8().get_data(), nullptr, &opened);
  if (status == MRT_OK) {
    mrt_pipeline_free(handle);
    handle = opened;
  }
  return outcome(status);
}

String MotionrtPipeline::generate(
    const Ref<MotionrtMotion> &into, const String &prompt, const Dictionary &options) {
  if (into.is_null()) return "generate: there is no motion to fill in";
  mrt_generate_options given;
  mrt_generate_options_init(&given);
  if (options.has("seconds")) given.seconds = options["seconds"];
  if (options.has("seed")) given.seed = options["seed"];
  if (options.has("steps")) given.num_steps = options["steps"];
  given.progress = listen;
  given.progress_user = this;
  cancelled = false;
  progress = 0;
  mrt_motion *made = nullptr;
  const mrt_status status = mrt_generate(handle, prompt.utf8().get_data(), &given, &made);
  if (status == MRT_OK) into->take(made);
  return outcome(status);
}

void MotionrtPipeline::cancel() { cancelled = true; }

double MotionrtPipeline::get_progress() const { return progress; }

bool MotionrtPipeline::listen(void *user, const char *stage, int32_t done, int32_t total) {
  MotionrtPipeline *self = static_cast<MotionrtPipeline *>(user);
  if (std::strcmp(stage, "denoising") == 0) self->progress = static_cast<double>(done) / total;
  return !self->cancelled;
}

void MotionrtPipeline::_bind_methods() {
  ClassDB::bind_method(D_METHOD("open", "folder"), &MotionrtPipeline::open);
  ClassDB::bind_method(D_METHOD("generate", "into", "prompt", "options"), &MotionrtPipeline::generate);
  ClassDB::bind_method(D_METHOD("cancel"), &MotionrtPipeline::cancel);
  ClassDB::bind_method(D_METHOD("get_progress"), &MotionrtPipeline::get_progress);
}

} // namespace godot
