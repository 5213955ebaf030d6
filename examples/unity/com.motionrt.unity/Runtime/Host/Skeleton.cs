// A skeleton as a manifest has it, and where its joints are in a pose.
using System;
using System.Collections.Generic;

namespace Motionrt {

/// Local rotations (T, J, 3, 3) and root positions (T, 3) as world rotations and positions (T, J, 3).
internal sealed class Pose {
  internal readonly double[] Rotations, Positions;
  readonly int joints;

  internal Pose(int frames, int joints) {
    this.joints = joints;
    Rotations = new double[9 * frames * joints];
    Positions = new double[3 * frames * joints];
  }

  internal Vector At(int frame, int joint) {
    int i = 3 * (frame * joints + joint);
    return new Vector(Positions[i], Positions[i + 1], Positions[i + 2]);
  }
}

internal sealed class Skeleton {
  internal readonly string Name;
  internal readonly string[] Joints;
  internal readonly int[] Parents;
  /// (J, 3) metres from the parent in the rest pose.
  internal readonly float[] Offsets;
  /// (J) metres, of the rest pose.
  internal readonly float[] Heights;
  /// Right and left, or none.
  internal readonly int[] Hips;
  /// What lies at a limb's end, and the toe of a foot; by the names of Limbs.
  internal readonly Dictionary<string, int[]> Ends = new Dictionary<string, int[]>();
  /// Joints that constraints hold together.
  internal readonly Dictionary<string, int[]> Groups = new Dictionary<string, int[]>();
  internal readonly bool Corrected, DoubleAnkle, RollsOverToes;
  internal readonly double FootClearance;

  internal static readonly string[] Limbs = { "LeftHand", "RightHand", "LeftFoot", "RightFoot" };
  static readonly string[] ends = { "left_hand_joints", "right_hand_joints", "left_foot_joints", "right_foot_joints" };

  /// FormatException where it is none.
  internal Skeleton(object given, string place) {
    var spec = Json.Object(given, place);
    Name = Json.Get<string>(spec, "name");
    Joints = Json.Texts(spec["joint_names"]);
    Parents = Json.Ints(spec["parents"]);
    var rest = Json.Get<List<object>>(spec, "rest_positions");
    if (Parents.Length != Joints.Length || rest.Count != Joints.Length)
      throw new FormatException(place + ": joint_names, parents and rest_positions differ in length");
    Offsets = new float[3 * Joints.Length];
    Heights = new float[Joints.Length];
    for (int joint = 0; joint < Joints.Length; joint++) {
      if (Parents[joint] >= joint || Parents[joint] < 0 != (joint == 0))
        throw new FormatException(place + ": a parent must come before its children");
      for (int axis = 0; axis < 3; axis++) {
        float here = (float)(double)((List<object>)rest[joint])[axis];
        if (axis == 1) Heights[joint] = here;
        if (joint == 0) continue;
        float there = (float)(double)((List<object>)rest[Parents[joint]])[axis];
        Offsets[3 * joint + axis] = (float)(here - there);
      }
    }
    Hips = JointsOf(spec, "hip_joints");
    for (int i = 0; i < Limbs.Length; i++) Ends[Limbs[i]] = JointsOf(spec, ends[i]);
    foreach (var group in Json.Object(spec["end_effector_groups"], place)) Groups[group.Key] = Json.Ints(group.Value);
    Corrected = Json.Get<bool>(spec, "corrected");
    DoubleAnkle = Json.Get<bool>(spec, "double_ankle");
    RollsOverToes = Json.Get<bool>(spec, "rolls_over_toes");
    FootClearance = Json.Get<double>(spec, "foot_clearance_m");
  }

  static int[] JointsOf(Dictionary<string, object> spec, string key) {
    object joints;
    return spec.TryGetValue(key, out joints) && joints != null ? Json.Ints(joints) : new int[0];
  }

  internal int Count { get { return Joints.Length; } }

  /// Where the joints of a smaller skeleton are in this one, by name.
  internal int[] Find(Skeleton smaller) {
    var places = new int[smaller.Count];
    for (int joint = 0; joint < places.Length; joint++) {
      places[joint] = Array.IndexOf(Joints, smaller.Joints[joint]);
      if (places[joint] < 0) throw new FormatException("skeleton " + Name + " has no " + smaller.Joints[joint]);
    }
    return places;
  }

  /// Forward kinematics; frames: those that are needed, null: all.
  internal Pose PoseOf(double[] local, double[] root, List<int> frames = null) {
    int all = root.Length / 3;
    var pose = new Pose(all, Count);
    for (int frame = 0; frames == null && frame < all; frame++) PoseFrame(local, root, pose, frame);
    for (int n = 0; frames != null && n < frames.Count; n++) PoseFrame(local, root, pose, frames[n]);
    return pose;
  }

  void PoseFrame(double[] local, double[] root, Pose pose, int frame) {
    int start = frame * Count;
    Array.Copy(local, 9 * start, pose.Rotations, 9 * start, 9);
    Array.Copy(root, 3 * frame, pose.Positions, 3 * start, 3);
    for (int joint = 1; joint < Count; joint++) {
      int own = start + joint, above = start + Parents[joint];
      Rotations.Multiply(pose.Rotations, 9 * above, local, 9 * own, pose.Rotations, 9 * own);
      Vector bone = new Vector(Offsets[3 * joint], Offsets[3 * joint + 1], Offsets[3 * joint + 2]);
      Vector place = pose.At(frame, Parents[joint]) + Rotations.Turned(pose.Rotations, 9 * above, bone);
      pose.Positions[3 * own] = place.X;
      pose.Positions[3 * own + 1] = place.Y;
      pose.Positions[3 * own + 2] = place.Z;
    }
  }
}

}
