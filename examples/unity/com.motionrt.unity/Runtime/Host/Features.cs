// What the model's network reads and writes, frame by frame, and constraints in these terms: as
// motionrt.runtime.kimodo.features and motionrt.runtime.kimodo.constraints.
using System;
using System.Collections.Generic;

namespace Motionrt {

/// How the model's numbers are laid out and scaled: root path (3), heading (2), joints' positions and
/// rotations, velocities, contacts.
internal sealed class Features {
  internal const int Heading = 3, Positions = 5;
  internal readonly Skeleton Skeleton;
  internal readonly int Width, Rotations;
  readonly float[] mean, scale;

  /// statistics: the content of statistics.safetensors; null: there is none, and Normalize refuses.
  internal Features(Skeleton skeleton, byte[] statistics) {
    Skeleton = skeleton;
    Rotations = Positions + 3 * skeleton.Count;
    Width = Positions + 12 * skeleton.Count + 4;
    if (statistics == null) return;
    mean = Safetensors.Floats(statistics, "mean");
    scale = Safetensors.Floats(statistics, "std");
    if (mean.Length != Width || scale.Length != Width)
      throw new FormatException("statistics: not of " + Width + " features");
    for (int i = 0; i < Width; i++) {
      float variance = (float)(scale[i] * scale[i]);
      scale[i] = (float)Math.Sqrt((float)(variance + 1e-5f));
    }
  }

  internal bool Known { get { return mean != null; } }

  /// To what the network sees, in place.
  internal void Normalize(float[] features) {
    for (int i = 0; i < features.Length; i++) {
      float shifted = (float)(features[i] - mean[i % Width]);
      features[i] = (float)(shifted / scale[i % Width]);
    }
  }
}

/// A motion (T, D) as far as it is given, normalised, and 1 where it is.
internal sealed class Observation {
  internal readonly float[] Motion, Mask;
  readonly int width;

  /// Where constraints overlap, the last one counts.
  internal Observation(List<Constraint> constraints, Features features, int frames) {
    Skeleton skeleton = features.Skeleton;
    width = features.Width;
    Motion = new float[frames * width];
    Mask = new float[frames * width];
    var poses = new List<Pose>();
    foreach (Constraint item in constraints) {
      poses.Add(item.Local == null ? null : skeleton.PoseOf(item.Local, item.Root));
      for (int k = 0; k < item.Frames.Length; k++) {
        Write(item.Frames[k], 0, item.Ground[2 * k]);
        Write(item.Frames[k], 2, item.Ground[2 * k + 1]);
      }
    }
    // Each in turn for all: a later constraint's root counts for an earlier one's joints.
    for (int n = 0; n < constraints.Count; n++) {
      Constraint item = constraints[n];
      for (int k = 0; k < item.Frames.Length; k++) {
        if (poses[n] != null) Write(item.Frames[k], 1, (float)poses[n].At(k, 0).Y);
        double[] heading = poses[n] != null ? HipHeading(poses[n], k, skeleton)
                           : item.Heading == null ? null : new double[] { item.Heading[2 * k], item.Heading[2 * k + 1] };
        for (int i = 0; heading != null && i < 2; i++) Write(item.Frames[k], Features.Heading + i, (float)heading[i]);
      }
    }
    for (int n = 0; n < constraints.Count; n++)
      for (int k = 0; poses[n] != null && k < constraints[n].Frames.Length; k++)
        Hold(constraints[n], k, poses[n], features);
    features.Normalize(Motion);
  }

  void Hold(Constraint item, int k, Pose pose, Features features) {
    Skeleton skeleton = features.Skeleton;
    int frame = item.Frames[k], joints = skeleton.Count;
    var places = new List<int>();
    for (int joint = 0; item.Groups == null && joint < joints; joint++) places.Add(joint);
    foreach (string group in item.Groups ?? new string[0]) {
      places.AddRange(skeleton.Groups[group]);
      int first = skeleton.Groups[group][0], from = 9 * (k * joints + first);
      // Six numbers: the first column, then the second.
      for (int i = 0; i < 6; i++)
        Write(frame, features.Rotations + 6 * first + i, (float)pose.Rotations[from + 3 * (i % 3) + i / 3]);
    }
    foreach (int joint in places) {
      Vector place = pose.At(k, joint);
      int column = Features.Positions + 3 * joint;
      Write(frame, column, (float)((float)place.X - Motion[frame * width]));
      Write(frame, column + 1, (float)place.Y);
      Write(frame, column + 2, (float)((float)place.Z - Motion[frame * width + 2]));
    }
  }

  /// Cosine and sine of where a body faces, by the line between its hips.
  static double[] HipHeading(Pose pose, int k, Skeleton skeleton) {
    Vector across = pose.At(k, skeleton.Hips[0]) - pose.At(k, skeleton.Hips[1]);
    double angle = Math.Atan2((float)across.Z, 0 - (float)across.X);
    return new[] { Math.Cos(angle), Math.Sin(angle) };
  }

  void Write(int frame, int column, float value) {
    Motion[frame * width + column] = value;
    Mask[frame * width + column] = 1;
  }
}

}
