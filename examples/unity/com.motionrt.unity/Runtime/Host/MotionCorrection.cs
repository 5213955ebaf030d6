// Meets constraints exactly and keeps standing feet where they stand, after a motion was made: as
// motionrt.runtime.body.motion_correction does, which has the reasons. In doubles.
using System;
using System.Collections.Generic;

namespace Motionrt {

/// What constraints ask of a clip.
internal sealed class CorrectionTargets {
  internal const string FullBody = "FullBody", Root = "Root";

  /// (T, 3) metres; where the root alone is held, x and z count.
  internal readonly double[] RootPositions;
  /// (T, J, 3, 3).
  internal readonly double[] LocalRotations;
  /// The frames at which something holds, by what: a name of Skeleton.Limbs or one of the above.
  internal readonly Dictionary<string, bool[]> Masks = new Dictionary<string, bool[]>();

  /// Nothing is held.
  internal CorrectionTargets(int frames, int joints) {
    RootPositions = new double[3 * frames];
    LocalRotations = new double[9 * frames * joints];
    for (int i = 0; i < LocalRotations.Length; i += 9)
      LocalRotations[i] = LocalRotations[i + 4] = LocalRotations[i + 8] = 1;
    foreach (string limb in Skeleton.Limbs) Masks[limb] = new bool[frames];
    Masks[FullBody] = new bool[frames];
    Masks[Root] = new bool[frames];
  }
}

internal sealed class MotionCorrection {
  /// How far the root may stay from a constrained place on the ground.
  internal const double RootMargin = 0.04;
  const double ContactThreshold = 0.5;
  /// Elbows bend backwards, knees forwards: the hint lies this far behind or before the joint.
  const double HintOffset = 0.1;
  /// A foot is let go smoothly when its anchor is further than the leg is long.
  const double SoftReach = 0.99, SoftWidth = 0.01;
  const int ToeRounds = 10;
  /// A bent limb reaches at most this share of its length, so that its plane stays defined.
  const double MaxReach = 0.999, MinReach = 1e-4;
  /// Directions with a larger cosine between them count as one.
  const double SameDirection = 1 - 1.19e-6;

  static readonly TrajectoryWeights loose = new TrajectoryWeights { Position = 0.001, Velocity = 1, Acceleration = 10 };
  static readonly TrajectoryWeights firm = new TrajectoryWeights { Position = 0.01, Velocity = 1, Acceleration = 10 };
  static readonly TrajectoryWeights upright = new TrajectoryWeights { Position = 0.01, Velocity = 1, Acceleration = 1 };

  /// The joints of a limb: its upper end, middle and end, and what lies beyond (a toe; -1: nothing).
  sealed class Limb {
    internal int upper, middle, end, beyond = -1;
    internal bool isHand;
    /// Of the foot contacts: its ankle, the toe behind it.
    internal int column;
    /// Frames at which constraints hold it, by itself or with all of the body.
    internal bool[] blocked;
  }

  readonly Skeleton skeleton;
  readonly CorrectionTargets targets;
  readonly Dictionary<string, Limb> limbs = new Dictionary<string, Limb>();
  readonly double[] contacts, restHeights, boneLengths;
  readonly bool[] fullBody;
  readonly int frames, joints;
  double[] local, root;

  /// Local rotations (T, J, 3, 3) and root positions (T, 3) change in place; contacts (T, 4) are
  /// left ankle and toe, right ankle and toe. What is not finite counts as zero, a rotation as none.
  internal static void Correct(Skeleton skeleton, double[] local, double[] root, double[] contacts,
                               CorrectionTargets targets, double rootMargin = RootMargin) {
    for (int i = 0; i < local.Length; i += 9) {
      bool finite = true;
      for (int k = i; k < i + 9; k++) finite &= IsFinite(local[k]);
      if (!finite) Rotations.Identity().CopyTo(local, i);
    }
    for (int i = 0; i < root.Length; i++) if (!IsFinite(root[i])) root[i] = 0;
    for (int i = 0; i < contacts.Length; i++) if (!IsFinite(contacts[i])) contacts[i] = 0;
    var correction = new MotionCorrection(skeleton, local, root, contacts, targets);
    correction.MoveRoot(rootMargin);
    correction.MeetFullBodies();
    correction.MeetLimbs();
    correction.HoldFeet();
    correction.local.CopyTo(local, 0);
    correction.root.CopyTo(root, 0);
  }

  static bool IsFinite(double value) { return !double.IsNaN(value) && !double.IsInfinity(value); }

  MotionCorrection(Skeleton skeleton, double[] local, double[] root, double[] contacts, CorrectionTargets targets) {
    this.skeleton = skeleton;
    this.local = local;
    this.root = root;
    this.contacts = contacts;
    this.targets = targets;
    fullBody = targets.Masks[CorrectionTargets.FullBody];
    frames = root.Length / 3;
    joints = skeleton.Count;
    foreach (string name in Skeleton.Limbs) {
      bool isHand = name.EndsWith("Hand", StringComparison.Ordinal);
      int[] ends = skeleton.Ends[name];
      if (ends.Length < (isHand ? 1 : 2))
        throw new FormatException("skeleton " + skeleton.Name + " does not name its " + name + "; no correction");
      int middle = skeleton.Parents[ends[0]];
      limbs[name] = new Limb {
        upper = skeleton.Parents[middle], middle = middle, end = ends[0], beyond = isHand ? -1 : ends[1],
        isHand = isHand, column = name == "LeftFoot" ? 0 : 2, blocked = Either(targets.Masks[name], fullBody)
      };
    }
    double lowest = double.MaxValue;
    foreach (float height in skeleton.Heights) lowest = Math.Min(lowest, height);
    restHeights = new double[joints];
    boneLengths = new double[joints];
    for (int joint = 0; joint < joints; joint++) {
      restHeights[joint] = skeleton.Heights[joint] - lowest + skeleton.FootClearance;
      float[] offsets = skeleton.Offsets;
      boneLengths[joint] = new Vector(offsets[3 * joint], offsets[3 * joint + 1], offsets[3 * joint + 2]).Length;
    }
  }

  /// The root to its targets: height at full bodies, x and z at every constraint.
  void MoveRoot(double margin) {
    double[] height = Trajectory.Correct(Columns(root, 1), Columns(targets.RootPositions, 1), Pins(fullBody), upright);
    bool[] rootMask = targets.Masks[CorrectionTargets.Root];
    var margins = new double[frames];
    for (int t = 0; t < frames; t++) {
      bool held = rootMask[t];
      foreach (string name in Skeleton.Limbs) held |= targets.Masks[name][t];
      margins[t] = fullBody[t] ? Trajectory.Pinned : held ? margin : Trajectory.Free;
    }
    double[] ground = Trajectory.SmoothEdges(Columns(root, 0, 2), Either(fullBody, rootMask));
    ground = Trajectory.Correct(ground, Columns(targets.RootPositions, 0, 2), margins, loose);
    root = new double[3 * frames];
    for (int t = 0; t < frames; t++) {
      root[3 * t] = ground[2 * t];
      root[3 * t + 1] = height[t];
      root[3 * t + 2] = ground[2 * t + 1];
    }
  }

  /// Every joint's rotation to its target at the full-body frames.
  void MeetFullBodies() {
    double[] reference = Trajectory.SmoothEdges(ToAxes(local), fullBody);
    local = FromAxes(Trajectory.Correct(reference, ToAxes(targets.LocalRotations), Pins(fullBody), firm));
  }

  /// Hands and feet to their targets, position and world rotation.
  void MeetLimbs() {
    Pose pose = null;
    foreach (string name in Skeleton.Limbs) {
      Limb limb = limbs[name];
      var held = new List<int>();
      for (int t = 0; t < frames; t++) if (targets.Masks[name][t] && !fullBody[t]) held.Add(t);
      if (held.Count == 0) continue;
      if (pose == null) pose = skeleton.PoseOf(targets.LocalRotations, targets.RootPositions);
      var corrected = (double[])local.Clone();
      int[] chain = { limb.upper, limb.middle, limb.end };
      Bend(corrected, held, chain, t => pose.At(t, limb.end), limb.isHand, false);
      SetWorld(corrected, held, limb.end, pose);
      Blend(corrected, chain, limb.blocked);
    }
  }

  /// Feet where they stand: ankles at an anchor, then toes at their rest height. A foot that rolls
  /// over its toe keeps its own turning, so its toe is not put down.
  void HoldFeet() {
    // What a foot shall be at the frames that it is held; the clip follows it by blending.
    var held = (double[])local.Clone();
    Pose original = skeleton.PoseOf(local, root);
    Limb right = limbs["RightFoot"], left = limbs["LeftFoot"];
    bool[] rightHeld = HoldAnkle(right, held, original), leftHeld = HoldAnkle(left, held, original);
    foreach (Limb foot in new[] { right, left }) {
      if (!skeleton.RollsOverToes) HoldToe(foot, held);
      if (skeleton.DoubleAnkle) HoldDoubleAnkle(foot, held, foot == right ? rightHeld : leftHeld, original);
    }
  }

  /// The frames at which an ankle was held.
  bool[] HoldAnkle(Limb foot, double[] held, Pose original) {
    var at = new bool[frames];
    var standing = new bool[frames];
    var anchors = new Vector[frames];
    for (int t = 0; t < frames; t++) {
      anchors[t] = original.At(t, foot.end);
      double sum = contacts[4 * t + foot.column] + contacts[4 * t + foot.column + 1];
      standing[t] = Math.Min(sum, 1) > ContactThreshold && !foot.blocked[t];
    }
    foreach (int[] run in Runs(standing)) {
      int start = run[0], stop = run[1];
      bool before = start > 0 && foot.blocked[start - 1], after = stop < frames && foot.blocked[stop];
      if (before && after) continue;
      int reference = before ? start - 1 : after ? stop : (start + stop) / 2;
      Vector still = original.At(reference, foot.end);
      Vector[] rolled = skeleton.RollsOverToes ? Rolled(foot, original, start, stop, reference, before || after) : null;
      for (int t = start; t < stop; t++) {
        Vector anchor = rolled == null ? still : rolled[t - start];
        if (!(before || after))
          anchor = new Vector(anchor.X, Math.Max(original.At(t, foot.end).Y, restHeights[foot.end]), anchor.Z);
        anchors[t] = anchor;
        at[t] = true;
      }
    }
    List<int> chosen = FramesOf(at);
    if (chosen.Count == 0) return at;
    int[] chain = { foot.upper, foot.middle, foot.end };
    Bend(held, chosen, chain, t => anchors[t], false, true);
    SetWorld(held, chosen, foot.end, original);
    Blend(held, chain, Either(foot.blocked, at));
    return at;
  }

  /// A foot moved so that what stands of it is still: its ankle from start to stop. Between two frames
  /// the ankle stays, or the toe where it alone stands at both. At reference the foot stays as it is.
  Vector[] Rolled(Limb foot, Pose pose, int start, int stop, int reference, bool stands) {
    int first = Math.Min(start, reference), last = Math.Max(stop, reference + 1);
    var moved = new Vector[last - first];
    for (int t = first; t + 1 < last; t++) {
      bool onAnkle = Down(foot, t, 0, reference, stands) && Down(foot, t + 1, 0, reference, stands);
      bool onToe = Down(foot, t, 1, reference, stands) && Down(foot, t + 1, 1, reference, stands);
      int joint = onToe && !onAnkle ? foot.beyond : foot.end;
      moved[t + 1 - first] = moved[t - first] + pose.At(t + 1, joint) - pose.At(t, joint);
    }
    var ankles = new Vector[stop - start];
    for (int t = start; t < stop; t++)
      ankles[t - start] = pose.At(t, foot.end) - moved[t - first] + moved[reference - first];
    return ankles;
  }

  bool Down(Limb foot, int t, int part, int reference, bool stands) {
    return contacts[4 * t + foot.column + part] > ContactThreshold || (stands && t == reference);
  }

  /// One toe down to its rest height by turning the ankle.
  void HoldToe(Limb foot, double[] held) {
    var at = new bool[frames];
    var standing = new bool[frames];
    for (int t = 0; t < frames; t++)
      standing[t] = contacts[4 * t + foot.column + 1] > ContactThreshold && !foot.blocked[t];
    foreach (int[] run in Runs(standing)) {
      bool before = run[0] > 0 && foot.blocked[run[0] - 1], after = run[1] < frames && foot.blocked[run[1]];
      for (int t = run[0]; t < run[1]; t++) at[t] = !(before || after);
    }
    List<int> chosen = FramesOf(at);
    if (chosen.Count == 0) return;
    Pose pose = skeleton.PoseOf(held, root, chosen);
    double height = restHeights[limbs["RightFoot"].beyond]; // upstream takes it for both sides
    Point(held, chosen, foot.end, foot.beyond, t => {
      Vector ankle = pose.At(t, foot.end), toe = pose.At(t, foot.beyond);
      for (int round = 0; round < ToeRounds; round++)
        toe = ankle + (new Vector(toe.X, height, toe.Z) - ankle).Unit * boneLengths[foot.beyond];
      return toe;
    });
    Blend(held, new[] { foot.end }, Either(foot.blocked, at));
  }

  /// The first ankle back to where the second one had it, by the whole leg: holding the foot moved the
  /// second ankle on its tiny bone alone.
  void HoldDoubleAnkle(Limb foot, double[] held, bool[] ankleHeld, Pose original) {
    List<int> chosen = FramesOf(ankleHeld);
    if (chosen.Count == 0) return;
    int second = foot.end, first = foot.middle, knee = foot.upper, hip = skeleton.Parents[knee];
    Pose pose = skeleton.PoseOf(held, root, chosen);
    bool[] pinned = Either(foot.blocked, ankleHeld);
    Bend(held, chosen, new[] { hip, knee, first }, t => {
      int turn = 9 * (t * joints + second);
      Vector apart = original.At(t, first) - original.At(t, second);
      return pose.At(t, second) +
             Rotations.Turned(pose.Rotations, turn, Rotations.TurnedBack(original.Rotations, turn, apart));
    }, false, false);
    Blend(held, new[] { hip, knee }, pinned);
    Point(held, chosen, first, second, t => pose.At(t, second));
    Point(held, chosen, second, foot.beyond, t => pose.At(t, foot.beyond));
    Blend(held, new[] { first, second }, pinned);
  }

  /// Bends a limb at some frames of rotations, in place; soft gives up what is out of reach.
  void Bend(double[] rotations, List<int> chosen, int[] chain, Func<int, Vector> target, bool back, bool soft) {
    Pose pose = skeleton.PoseOf(rotations, root, chosen);
    int upper = chain[0], middle = chain[1];
    double upperLength = boneLengths[middle], lowerLength = boneLengths[chain[2]];
    foreach (int t in chosen) {
      Vector hip = pose.At(t, upper), knee = pose.At(t, middle), ankle = pose.At(t, chain[2]), aim = target(t) - hip;
      int turn = 9 * (t * joints + middle);
      Vector forward = new Vector(pose.Rotations[turn + 2], pose.Rotations[turn + 5], pose.Rotations[turn + 8]);
      Vector hint = knee + forward * (back ? -HintOffset : HintOffset);
      // Two bones to a point, in closed form (limb_ik.py): a triangle of known sides.
      double reach = Math.Max(MinReach, Math.Min(aim.Length, MaxReach * (upperLength + lowerLength)));
      double hipAngle = AngleOpposite(lowerLength, upperLength, reach) - AngleBetween(ankle - hip, knee - hip);
      double kneeAngle = AngleOpposite(reach, upperLength, lowerLength) - AngleBetween(hip - knee, ankle - knee);
      Vector normal = Vector.Cross(ankle - hip, hint - hip);
      Vector axis = normal.Length < 1e-8 ? new Vector(0, 0, 1) : normal.Unit;
      double[][] turns = {
        Rotations.Product(Rotations.ShortestArc(ankle - hip, aim, SameDirection), Rotations.TurnAbout(axis, hipAngle)),
        Rotations.TurnAbout(axis, kneeAngle)
      };
      double beyond = Math.Max(aim.Length / (upperLength + lowerLength) - SoftReach, 0) / SoftWidth;
      double weight = Math.Exp(-2 * beyond * beyond * beyond * beyond);
      for (int i = 0; i < 2; i++) {
        int own = 9 * (t * joints + chain[i]);
        double[] world = Rotations.At(pose.Rotations, own), old = Rotations.At(rotations, own);
        double[] turned = Rotations.Product(
            old, Rotations.Product(Rotations.Product(Rotations.Transposed(world), turns[i]), world));
        (soft ? Rotations.Between(old, turned, weight) : turned).CopyTo(rotations, own);
      }
    }
  }

  static double AngleBetween(Vector a, Vector b) { return Math.Atan2(Vector.Cross(a, b).Length, Vector.Dot(a, b)); }

  /// The angle of a triangle opposite to a side, by the law of cosines.
  static double AngleOpposite(double side, double a, double b) {
    double cosine = (a * a + b * b - side * side) / Math.Max(2 * a * b, 1e-12);
    return Math.Acos(Math.Max(-1, Math.Min(1, cosine)));
  }

  /// Gives a joint the world rotations of a pose at some frames of rotations, in place.
  void SetWorld(double[] rotations, List<int> chosen, int joint, Pose wanted) {
    Pose current = skeleton.PoseOf(rotations, root, chosen);
    foreach (int t in chosen) {
      int own = 9 * (t * joints + joint), above = 9 * (t * joints + skeleton.Parents[joint]);
      Rotations.TransposedTimes(current.Rotations, above, wanted.Rotations, own, rotations, own);
    }
  }

  /// Turns a joint so that its child points to a target, at some frames of rotations, in place.
  void Point(double[] rotations, List<int> chosen, int joint, int child, Func<int, Vector> target) {
    Pose pose = skeleton.PoseOf(rotations, root, chosen);
    foreach (int t in chosen) {
      Vector place = pose.At(t, joint);
      double[] turn = Rotations.ShortestArc(pose.At(t, child) - place, target(t) - place, SameDirection);
      int own = 9 * (t * joints + joint), above = 9 * (t * joints + skeleton.Parents[joint]);
      double[] turned = Rotations.Product(turn, Rotations.At(pose.Rotations, own));
      Rotations.TransposedTimes(pose.Rotations, above, turned, 0, rotations, own);
    }
  }

  /// Takes joints from corrected at the pinned frames and lets the others follow.
  void Blend(double[] corrected, int[] chosen, bool[] pinned) {
    double[] axes = Trajectory.Correct(ToAxes(Some(local, chosen)), ToAxes(Some(corrected, chosen)), Pins(pinned), firm);
    double[] blended = FromAxes(axes);
    for (int t = 0; t < frames; t++)
      for (int n = 0; n < chosen.Length; n++)
        Array.Copy(blended, 9 * (t * chosen.Length + n), local, 9 * (t * joints + chosen[n]), 9);
  }

  double[] Some(double[] rotations, int[] chosen) {
    var result = new double[9 * frames * chosen.Length];
    for (int t = 0; t < frames; t++)
      for (int n = 0; n < chosen.Length; n++)
        Array.Copy(rotations, 9 * (t * joints + chosen[n]), result, 9 * (t * chosen.Length + n), 9);
    return result;
  }

  double[] Columns(double[] values, params int[] axes) {
    var result = new double[frames * axes.Length];
    for (int i = 0; i < result.Length; i++) result[i] = values[3 * (i / axes.Length) + axes[i % axes.Length]];
    return result;
  }

  static double[] Pins(bool[] mask) {
    var margins = new double[mask.Length];
    for (int t = 0; t < mask.Length; t++) margins[t] = mask[t] ? Trajectory.Pinned : Trajectory.Free;
    return margins;
  }

  static bool[] Either(bool[] a, bool[] b) {
    var result = new bool[a.Length];
    for (int t = 0; t < a.Length; t++) result[t] = a[t] || b[t];
    return result;
  }

  static List<int> FramesOf(bool[] mask) {
    var found = new List<int>();
    for (int t = 0; t < mask.Length; t++) if (mask[t]) found.Add(t);
    return found;
  }

  /// The start and the end (excluded) of every run of true.
  static List<int[]> Runs(bool[] mask) {
    var found = new List<int[]>();
    for (int t = 0; t < mask.Length; t++) {
      if (!mask[t]) continue;
      if (t > 0 && mask[t - 1]) found[found.Count - 1][1] = t + 1;
      else found.Add(new[] { t, t + 1 });
    }
    return found;
  }

  /// The z and y axes of matrices as six numbers each.
  static double[] ToAxes(double[] rotations) {
    var axes = new double[rotations.Length / 9 * 6];
    for (int from = 0, to = 0; from < rotations.Length; from += 9, to += 6)
      for (int i = 0; i < 3; i++) {
        axes[to + i] = rotations[from + 3 * i + 2];
        axes[to + 3 + i] = rotations[from + 3 * i + 1];
      }
    return axes;
  }

  /// Rotations of z axes and approximate y axes; z is kept.
  static double[] FromAxes(double[] axes) {
    var rotations = new double[axes.Length / 6 * 9];
    for (int from = 0, to = 0; from < axes.Length; from += 6, to += 9) {
      Vector z = new Vector(axes[from], axes[from + 1], axes[from + 2]).Unit;
      Vector x = Vector.Cross(new Vector(axes[from + 3], axes[from + 4], axes[from + 5]), z).Unit;
      Vector y = Vector.Cross(z, x);
      double[] columns = { x.X, y.X, z.X, x.Y, y.Y, z.Y, x.Z, y.Z, z.Z };
      columns.CopyTo(rotations, to);
    }
    return rotations;
  }
}

}
