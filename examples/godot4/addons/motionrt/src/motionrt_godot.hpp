// motionrt for Godot 4: the classes MotionrtPipeline and MotionrtMotion, by GDExtension and godot-cpp.
//
// A method that can fail returns a String: empty, or one line that says what is wrong. generate() takes
// long and belongs in a thread of its own; a motion does not change, and any thread may read it.
#pragma once

#include <atomic>

#include <godot_cpp/classes/ref_counted.hpp>
#include <godot_cpp/core/class_db.hpp>
#include <godot_cpp/variant/dictionary.hpp>
#include <godot_cpp/variant/packed_float32_array.hpp>
#include <godot_cpp/variant/packed_int32_array.hpp>
#include <godot_cpp/variant/packed_string_array.hpp>
#include <godot_cpp/variant/transform3d.hpp>

#include <motionrt.h>

namespace godot {

class MotionrtMotion : public RefCounted {
  GDCLASS(MotionrtMotion, RefCounted)

public:
  ~MotionrtMotion();
  void take(mrt_motion *made);

  double get_seconds() const;
  PackedStringArray get_joint_names() const;
  PackedInt32Array get_parents() const;
  /// Three a joint: metres from its parent at rest, where all rotations are the identity.
  PackedFloat32Array get_rest_offsets() const;
  /// The root's place, then x y z w a joint. flags: LOOP, IN_PLACE.
  PackedFloat32Array sample(double seconds, int flags) const;
  /// What the character moves and turns by between two times, in its own space.
  Transform3D get_root_motion(double from, double to, int flags) const;
  /// Write a .bvh or .glb.
  String save(const String &path) const;

  enum { LOOP = MRT_LOOP, IN_PLACE = MRT_IN_PLACE };

protected:
  static void _bind_methods();

private:
  mrt_motion *handle = nullptr;
};

class MotionrtPipeline : public RefCounted {
  GDCLASS(MotionrtPipeline, RefCounted)

public:
  ~MotionrtPipeline();
  /// A bundle's folder on disk.
  String open(const String &folder);
  /// Fill in a motion. options: seconds, seed, steps.
  String generate(const Ref<MotionrtMotion> &into, const String &prompt, const Dictionary &options);
  void cancel();
  /// From 0 to 1, of the motion that is being made.
  double get_progress() const;

protected:
  static void _bind_methods();

private:
  static bool listen(void *user, const char *stage, int32_t done, int32_t total);

  mrt_pipeline *handle = nullptr;
  std::atomic<bool> cancelled{false};
  std::atomic<double> progress{0};
};

} // namespace godot
