// Constraints as files have them: what the model sees of them, and what motion correction is to meet.
// As motionrt.runtime.constraints and motionrt.runtime.kimodo.constraints.
using System;
using System.Collections.Generic;

namespace Motionrt {

/// A constraint of some frames, K rows.
internal sealed class Constraint {
  const double LargestNumber = 1e9;
  static readonly string[] types = {
    "root2d", "fullbody", "left-hand", "right-hand", "left-foot", "right-foot", "end-effector"
  };
  /// What motion correction holds for each; for the last nothing, as upstream.
  static readonly string[] held = {
    CorrectionTargets.Root, CorrectionTargets.FullBody, "LeftHand", "RightHand", "LeftFoot", "RightFoot", null
  };

  internal string Type { get; private set; }
  internal string Mask { get; private set; }
  internal int[] Frames { get; private set; }
  /// (K, 2), x and z of the smoothed root.
  internal float[] Ground { get; private set; }
  /// (K, 2), cosine and sine, or null.
  internal float[] Heading { get; private set; }
  /// (K, J, 3, 3) and (K, 3), or null.
  internal double[] Local { get; private set; }
  internal double[] Root { get; private set; }
  /// The groups of joints that are held; null: all.
  internal string[] Groups { get; private set; }

  /// A constraint file's content; larger: what the skeleton expands to, or null. ArgumentException
  /// says what does not fit.
  internal static List<Constraint> Read(string json, Skeleton skeleton, Skeleton larger) {
    List<object> items;
    try {
      items = Json.Parse(json) as List<object>;
    } catch (FormatException error) {
      throw new ArgumentException("constraints: " + error.Message);
    }
    if (items == null) throw new ArgumentException("constraints: expected a list of constraints");
    var made = new List<Constraint>();
    for (int i = 0; i < items.Count; i++) {
      object type = null;
      try {
        var item = items[i] as Dictionary<string, object>;
        if (item == null) throw new FormatException("expected an object");
        item.TryGetValue("type", out type);
        made.Add(new Constraint(type as string, item, skeleton, larger));
      } catch (FormatException error) {
        throw new ArgumentException("constraint " + i + (type is string ? " (" + type + ")" : "") + ": " + error.Message);
      }
    }
    return made;
  }

  Constraint(string type, Dictionary<string, object> given, Skeleton skeleton, Skeleton larger) {
    int kind = Array.IndexOf(types, type);
    if (kind < 0) throw new FormatException("type must be one of " + string.Join(", ", types));
    Type = type;
    Mask = held[kind];
    Frames = ReadFrames(Field(given, "frame_indices"));
    int count = Frames.Length;
    object smooth = Field(given, "smooth_root_2d") ?? Field(given, "root_2d"); // as ARDY's files call it
    if (smooth != null) Ground = Rows("smooth_root_2d", smooth, count, 2);
    if (kind == 0) {
      if (smooth == null) throw new FormatException("smooth_root_2d is missing");
      Heading = ReadHeading(Field(given, "global_root_heading"), count);
      return;
    }
    float[] root = Rows("root_positions", Field(given, "root_positions"), count, 3);
    Root = Array.ConvertAll(root, value => (double)value);
    if (Ground == null) {
      Ground = new float[2 * count];
      for (int i = 0; i < Ground.Length; i++) Ground[i] = root[3 * (i / 2) + 2 * (i % 2)];
    }
    Local = ReadRotations(Field(given, "local_joints_rot"), count, skeleton, larger);
    if (kind == 1) return;
    Groups = kind == 6 ? ReadGroups(Field(given, "joint_names") as List<object>) : new[] { Mask };
    foreach (string group in Groups)
      if (!skeleton.Groups.ContainsKey(group))
        throw new FormatException("skeleton " + skeleton.Name + " has no joint group " + group);
  }

  static object Field(Dictionary<string, object> given, string key) {
    object value;
    return given.TryGetValue(key, out value) ? value : null;
  }

  static int[] ReadFrames(object given) {
    var items = given as List<object>;
    if (items == null || items.Count == 0) throw new FormatException("frame_indices must be a list of whole numbers");
    var frames = new int[items.Count];
    for (int i = 0; i < frames.Length; i++) {
      double frame = items[i] is double ? (double)items[i] : -1;
      if (!(frame >= 0 && frame < int.MaxValue && frame == Math.Floor(frame)))
        throw new FormatException("frame_indices must be whole numbers from 0");
      frames[i] = (int)frame;
    }
    return frames;
  }

  static float Number(object value, string name) {
    if (!(value is double) || !(Math.Abs((double)value) <= LargestNumber))
      throw new FormatException(name + " must be numbers up to " + LargestNumber);
    return (float)(double)value;
  }

  static float[] Rows(string name, object given, int count, int width) {
    if (given == null) throw new FormatException(name + " is missing");
    var rows = given as List<object>;
    if (rows == null || rows.Count != count)
      throw new FormatException(name + " must have a row for each of the " + count + " frames");
    var result = new float[count * width];
    for (int i = 0; i < count; i++) {
      var row = rows[i] as List<object>;
      if (row == null || row.Count != width) throw new FormatException(name + " must be (" + count + ", " + width + ")");
      for (int k = 0; k < width; k++) result[i * width + k] = Number(row[k], name);
    }
    return result;
  }

  /// Rows of cosine and sine, or ARDY's angles.
  static float[] ReadHeading(object given, int count) {
    var items = given as List<object>;
    if (given == null || (items != null && items.Count > 0 && !(items[0] is double)))
      return given == null ? null : Rows("global_root_heading", given, count, 2);
    if (items == null || items.Count != count)
      throw new FormatException("global_root_heading must have a row for each of the " + count + " frames");
    var result = new float[2 * count];
    for (int i = 0; i < count; i++) {
      Number(items[i], "global_root_heading");
      result[2 * i] = (float)Math.Cos((double)items[i]);
      result[2 * i + 1] = (float)Math.Sin((double)items[i]);
    }
    return result;
  }

  /// Rotation vectors or matrices of the skeleton's joints, or of those of what it expands to.
  static double[] ReadRotations(object given, int count, Skeleton skeleton, Skeleton larger) {
    const string name = "local_joints_rot";
    if (given == null) throw new FormatException(name + " is missing");
    int joints = skeleton.Count;
    int[] places = larger == null ? null : larger.Find(skeleton);
    var poses = given as List<object>;
    if (poses == null || poses.Count != count)
      throw new FormatException(name + " must have a pose for each of the " + count + " frames");
    var result = new double[9 * count * joints];
    for (int i = 0; i < count; i++) {
      var pose = poses[i] as List<object>;
      bool expanded = larger != null && pose != null && pose.Count == larger.Count;
      if (pose == null || (pose.Count != joints && !expanded))
        throw new FormatException(name + " has " + (pose == null ? 0 : pose.Count) + " joints, skeleton " +
                                  skeleton.Name + " has " + joints);
      for (int joint = 0; joint < joints; joint++) {
        var values = new List<double>();
        foreach (object part in pose[expanded ? places[joint] : joint] as List<object> ?? new List<object>()) {
          if (part is List<object>) foreach (object value in (List<object>)part) values.Add(Number(value, name));
          else values.Add(Number(part, name));
        }
        if (values.Count != 3 && values.Count != 9)
          throw new FormatException(name + ": a rotation is 3 numbers, or 3 rows of 3");
        double[] made = values.Count == 9 ? values.ToArray()
                                          : Rotations.FromAxisAngle(new Vector(values[0], values[1], values[2]));
        made.CopyTo(result, 9 * (i * joints + joint));
      }
    }
    return result;
  }

  static string[] ReadGroups(List<object> names) {
    if (names == null || names.Count == 0) throw new FormatException("joint_names must be a list of names");
    var groups = new string[names.Count];
    for (int i = 0; i < groups.Length; i++) {
      groups[i] = names[i] as string;
      if (Array.IndexOf(new[] { "LeftFoot", "RightFoot", "LeftHand", "RightHand", "Hips" }, groups[i]) < 0)
        throw new FormatException("joint_names must be of LeftFoot, RightFoot, LeftHand, RightHand, Hips");
    }
    return groups;
  }

  /// ArgumentException for the first frame that lies beyond a clip.
  internal static void CheckFrames(List<Constraint> constraints, int frames) {
    for (int i = 0; i < constraints.Count; i++)
      foreach (int frame in constraints[i].Frames)
        if (frame >= frames)
          throw new ArgumentException("constraint " + i + " (" + constraints[i].Type + "): frame " + frame +
                                      " is beyond the clip's " + frames + " frames (0 to " + (frames - 1) +
                                      "); lengthen the clip or move the frame");
  }

  /// What motion correction is to meet; the last constraint of a frame counts.
  internal static CorrectionTargets Targets(List<Constraint> constraints, Skeleton skeleton, int frames) {
    var targets = new CorrectionTargets(frames, skeleton.Count);
    int size = 9 * skeleton.Count;
    foreach (Constraint item in constraints)
      for (int k = 0; k < item.Frames.Length; k++) {
        int frame = item.Frames[k];
        if (item.Local != null) {
          targets.RootPositions[3 * frame + 1] = item.Root[3 * k + 1];
          Array.Copy(item.Local, size * k, targets.LocalRotations, size * frame, size);
        }
        targets.RootPositions[3 * frame] = item.Ground[2 * k];
        targets.RootPositions[3 * frame + 2] = item.Ground[2 * k + 1];
        if (item.Mask != null) targets.Masks[item.Mask][frame] = true;
      }
    return targets;
  }
}

}
