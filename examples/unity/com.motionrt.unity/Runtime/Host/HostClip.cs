// A motion that was decoded here, sampled as the native library samples its own.
using System;

namespace Motionrt {

public sealed class HostClip : Clip {
  const int MaxPasses = 100000;
  readonly float[] roots, rotations;
  readonly double[] headings;

  /// roots (T, 3), localMats (T, J, 3, 3), posed (T, J, 3); hips: right and left, or none.
  public HostClip(float[] roots, float[] localMats, float[] posed, string[] names, int[] parents, float[] offsets,
                  int[] hips, double fps, uint seed, string prompt) {
    NumJoints = names.Length;
    NumFrames = roots.Length / 3;
    Fps = fps;
    Seconds = NumFrames / fps;
    Seed = seed;
    Prompt = prompt;
    JointNames = names;
    Parents = parents;
    RestOffsets = offsets;
    this.roots = roots;
    rotations = new float[4 * NumFrames * NumJoints];
    for (int i = 0; i < NumFrames * NumJoints; i++) Quaternion(localMats, 9 * i, rotations, 4 * i);
    headings = new double[NumFrames];
    for (int frame = 0; frame < NumFrames; frame++) {
      int row = 3 * frame * NumJoints;
      if (hips.Length == 2) {
        int right = row + 3 * hips[0], left = row + 3 * hips[1];
        headings[frame] = Math.Atan2(posed[right + 2] - posed[left + 2], posed[left] - posed[right]);
      } else {
        headings[frame] = Math.Atan2(localMats[3 * row + 2], localMats[3 * row + 8]);
      }
    }
  }

  /// (T, 3) and (T, J, 4), copied.
  public float[] RootPositions() { return (float[])roots.Clone(); }
  public float[] LocalRotations() { return (float[])rotations.Clone(); }

  public override void Dispose() {}

  protected override void SamplePose(double seconds, uint flags, float[] root, float[] result) {
    double share, passes;
    int frame = Locate(seconds, (flags & Loop) != 0, out share, out passes), next = Math.Min(frame + 1, NumFrames - 1);
    bool inPlace = (flags & InPlace) != 0;
    if (root != null)
      for (int i = 0; i < 3; i++)
        root[i] = inPlace && i != 1 ? 0 : (float)Between(roots[3 * frame + i], roots[3 * next + i], share);
    for (int joint = 0; result != null && joint < NumJoints; joint++)
      Slerp(rotations, 4 * (frame * NumJoints + joint), 4 * (next * NumJoints + joint), share, result, 4 * joint);
    if (result == null || !inPlace) return;
    // The body faces +z: the root is turned back about y.
    double half = -Heading(frame, share) / 2, c = Math.Cos(half), s = Math.Sin(half);
    double w = result[0], x = result[1], y = result[2], z = result[3];
    result[0] = (float)(c * w - s * y);
    result[1] = (float)(c * x + s * z);
    result[2] = (float)(c * y + s * w);
    result[3] = (float)(c * z - s * x);
  }

  protected override float RootWay(double from, double to, uint flags, float[] translation) {
    if (!(to >= from) || double.IsInfinity(to - from)) throw new ArgumentException("to must not lie before from");
    bool loop = (flags & Loop) != 0;
    double firstPass, lastPass;
    Place start = At(from, loop, out firstPass), end = At(to, loop, out lastPass), total;
    double left = lastPass - firstPass;
    if (left > MaxPasses) throw new ArgumentException("more than " + MaxPasses + " passes");
    if (left > 0) {
      Place first = At(0, 0), last = At(NumFrames - 1, 0);
      total = Way(start, last);
      for (left -= 1; left > 0; left -= 1) total = Then(total, Way(first, last));
      total = Then(total, Way(first, end));
    } else {
      total = Way(start, end);
    }
    if (translation != null) {
      translation[0] = (float)total.x;
      translation[1] = 0;
      translation[2] = (float)total.z;
    }
    return (float)total.heading;
  }

  /// A place on the ground and where the body faces.
  struct Place { internal double x, z, heading; }

  Place At(double seconds, bool loop, out double passes) {
    double share;
    int frame = Locate(seconds, loop, out share, out passes);
    return At(frame, share);
  }

  Place At(int frame, double share) {
    int next = Math.Min(frame + 1, NumFrames - 1);
    return new Place {
      x = Between(roots[3 * frame], roots[3 * next], share),
      z = Between(roots[3 * frame + 2], roots[3 * next + 2], share),
      heading = Heading(frame, share)
    };
  }

  double Heading(int frame, double share) {
    int next = Math.Min(frame + 1, NumFrames - 1);
    return headings[frame] + share * Turn(headings[next] - headings[frame]);
  }

  static double Turn(double angle) { return Math.IEEERemainder(angle, 2 * Math.PI); }

  static double Between(double a, double b, double share) { return a * (1 - share) + b * share; }

  static Place Way(Place a, Place b) {
    double c = Math.Cos(a.heading), s = Math.Sin(a.heading), dx = b.x - a.x, dz = b.z - a.z;
    return new Place { x = c * dx - s * dz, z = s * dx + c * dz, heading = Turn(b.heading - a.heading) };
  }

  static Place Then(Place a, Place step) {
    double c = Math.Cos(a.heading), s = Math.Sin(a.heading);
    return new Place {
      x = a.x + c * step.x + s * step.z, z = a.z - s * step.x + c * step.z, heading = a.heading + step.heading
    };
  }

  int Locate(double seconds, bool loop, out double share, out double passes) {
    double last = NumFrames - 1, at = seconds * Fps;
    passes = 0;
    if (loop && last > 0) {
      passes = Math.Floor(at / last);
      at -= passes * last;
    }
    at = Math.Min(Math.Max(at, 0), last);
    share = at - Math.Floor(at);
    return (int)at;
  }

  static void Slerp(float[] from, int a, int b, double share, float[] to, int at) {
    double dot = 0, minus = 0, plus = 0, length = 0;
    for (int i = 0; i < 4; i++) dot += (double)from[a + i] * from[b + i];
    double sign = dot < 0 ? -1 : 1;
    for (int i = 0; i < 4; i++) {
      double p = from[a + i], q = sign * from[b + i];
      minus += (q - p) * (q - p);
      plus += (q + p) * (q + p);
    }
    double angle = 2 * Math.Atan2(Math.Sqrt(minus), Math.Sqrt(plus)), sine = Math.Sin(angle);
    double ka = sine < 1e-6 ? 1 - share : Math.Sin((1 - share) * angle) / sine;
    double kb = sine < 1e-6 ? share : Math.Sin(share * angle) / sine;
    for (int i = 0; i < 4; i++) {
      double mixed = ka * from[a + i] + kb * sign * from[b + i];
      to[at + i] = (float)mixed;
      length += mixed * mixed;
    }
    for (int i = 0; i < 4; i++) to[at + i] = (float)(to[at + i] / Math.Sqrt(length));
  }

  /// A matrix (row by row, for columns) as w x y z, by its largest part.
  static void Quaternion(float[] m, int i, float[] q, int at) {
    double xx = m[i], yy = m[i + 4], zz = m[i + 8];
    double[] squares = { 1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz };
    int best = 0;
    for (int part = 1; part < 4; part++) if (squares[part] > squares[best]) best = part;
    double wx = m[i + 7] - m[i + 5], wy = m[i + 2] - m[i + 6], wz = m[i + 3] - m[i + 1];
    double xy = m[i + 1] + m[i + 3], xz = m[i + 2] + m[i + 6], yz = m[i + 5] + m[i + 7];
    double[][] rows = {
      new[] { squares[0], wx, wy, wz }, new[] { wx, squares[1], xy, xz },
      new[] { wy, xy, squares[2], yz }, new[] { wz, xz, yz, squares[3] }
    };
    double length = 0;
    foreach (double part in rows[best]) length += part * part;
    length = Math.Sqrt(length) * (rows[best][0] < 0 ? -1 : 1);
    for (int part = 0; part < 4; part++) q[at + part] = (float)(rows[best][part] / length);
  }
}

}
