// Moves a few frames of a trajectory where they must be and lets the others follow smoothly, as
// motionrt.runtime.body.trajectory does. Trajectories are (N, C), frames first.
using System;
using System.Collections.Generic;

namespace Motionrt {

/// What a correction keeps of the reference: higher keeps more of it.
internal struct TrajectoryWeights {
  internal double Position, Velocity, Acceleration;
}

internal static class Trajectory {
  /// Margins of a frame that may go anywhere and of one that must meet its target.
  internal const double Free = -1, Pinned = 0;
  const int MarginRounds = 100;

  /// margins (N): below zero a frame is free, zero is pinned, above zero it must come within that
  /// distance of its target. Least kp·|x - r|² + kv·|V(x - r)|² + ka·|A(x - r)|².
  internal static double[] Correct(double[] reference, double[] targets, double[] margins, TrajectoryWeights weights) {
    int count = margins.Length, width = reference.Length / count;
    var bounded = new List<int>();
    bool pinned = false;
    for (int i = 0; i < count; i++) {
      if (margins[i] > 0) bounded.Add(i);
      pinned |= margins[i] == 0;
    }
    var shifted = (double[])reference.Clone();
    if (!pinned && bounded.Count == 0) return shifted;
    var a = new double[count];
    var b = new double[Math.Max(count - 1, 0)];
    var c = new double[Math.Max(count - 2, 0)];
    Hessian(a, b, c, weights);
    // H·(r - o on pinned rows); a pinned row becomes x = o, and its column leaves the others.
    for (int i = 0; i < count; i++)
      for (int k = i * width; margins[i] == 0 && k < (i + 1) * width; k++) shifted[k] -= targets[k];
    double[] right = Times(a, b, c, shifted, width);
    double largest = 0;
    foreach (double value in a) largest = Math.Max(largest, value);
    double rho = 0.5 * Math.Sqrt(largest);
    for (int i = 0; i < count; i++) {
      if (margins[i] > 0) a[i] += rho;
      if (margins[i] != 0) continue;
      for (int k = i * width; k < (i + 1) * width; k++) right[k] = targets[k];
      a[i] = 1;
      if (i > 0) b[i - 1] = 0;
      if (i < b.Length) b[i] = 0;
      if (i > 1) c[i - 2] = 0;
      if (i < c.Length) c[i] = 0;
    }
    var factor = new Pentadiagonal(a, b, c);
    return bounded.Count == 0 ? factor.Solve(right, width)
                              : MeetMargins(factor, right, reference, targets, margins, bounded, rho);
  }

  /// Alternates between the trajectory and its projection into the balls (ADMM).
  static double[] MeetMargins(Pentadiagonal factor, double[] right, double[] reference, double[] targets,
                              double[] margins, List<int> rows, double rho) {
    int width = reference.Length / margins.Length;
    var z = (double[])reference.Clone();
    var u = new double[reference.Length];
    var away = new double[width];
    double[] x = right;
    for (int round = 0; round < MarginRounds; round++) {
      var pulled = (double[])right.Clone();
      foreach (int i in rows)
        for (int k = i * width; k < (i + 1) * width; k++) pulled[k] += rho * (z[k] - u[k]);
      x = factor.Solve(pulled, width);
      foreach (int i in rows) {
        double distance = 0;
        for (int k = 0; k < width; k++) {
          away[k] = x[i * width + k] + u[i * width + k] - targets[i * width + k];
          distance += away[k] * away[k];
        }
        distance = Math.Sqrt(distance);
        double kept = distance > margins[i] ? margins[i] / distance : 1;
        for (int k = 0; k < width; k++) {
          z[i * width + k] = targets[i * width + k] + away[k] * kept;
          u[i * width + k] += x[i * width + k] - z[i * width + k];
        }
      }
    }
    return x;
  }

  /// Each masked frame beside an unmasked one becomes the mean of its two neighbours, in order.
  internal static double[] SmoothEdges(double[] reference, bool[] mask) {
    var result = (double[])reference.Clone();
    int width = reference.Length / mask.Length;
    for (int i = 0; i < mask.Length; i++) {
      int before = Math.Max(i - 1, 0), after = Math.Min(i + 1, mask.Length - 1);
      if (!mask[i] || (mask[before] && mask[after])) continue;
      for (int k = 0; k < width; k++)
        result[i * width + k] = 0.5 * (result[before * width + k] + result[after * width + k]);
    }
    return result;
  }

  /// The diagonals of kp·I + kv·VᵀV + ka·AᵀA.
  static void Hessian(double[] diagonal, double[] first, double[] second, TrajectoryWeights weights) {
    double kv = weights.Velocity, ka = weights.Acceleration;
    for (int i = 0; i < diagonal.Length; i++) diagonal[i] = weights.Position;
    for (int i = 0; i < first.Length; i++) {
      diagonal[i] += kv;
      diagonal[i + 1] += kv;
      first[i] = -kv;
    }
    for (int i = 0; i < second.Length; i++) {
      diagonal[i] += ka;
      diagonal[i + 1] += 4 * ka;
      diagonal[i + 2] += ka;
      first[i] -= 2 * ka;
      first[i + 1] -= 2 * ka;
      second[i] = ka;
    }
  }

  static double[] Times(double[] diagonal, double[] first, double[] second, double[] x, int width) {
    var result = new double[x.Length];
    for (int i = 0; i < diagonal.Length; i++)
      for (int k = 0; k < width; k++) result[i * width + k] = diagonal[i] * x[i * width + k];
    for (int apart = 1; apart < 3; apart++) {
      double[] side = apart == 1 ? first : second;
      for (int i = 0; i < side.Length; i++)
        for (int k = 0; k < width; k++) {
          int upper = i * width + k, lower = upper + apart * width;
          result[upper] += side[i] * x[lower];
          result[lower] += side[i] * x[upper];
        }
    }
    return result;
  }

  /// A symmetric positive definite matrix with two side diagonals, factored as L·D·Lᵀ.
  sealed class Pentadiagonal {
    readonly double[] d, l1, l2;

    internal Pentadiagonal(double[] a, double[] b, double[] c) {
      d = new double[a.Length];
      l1 = new double[a.Length];
      l2 = new double[a.Length];
      for (int i = 0; i < a.Length; i++) {
        d[i] = a[i];
        if (i > 1) {
          l2[i] = c[i - 2] / d[i - 2];
          d[i] -= l2[i] * l2[i] * d[i - 2];
        }
        if (i > 0) {
          double side = b[i - 1] - (i > 1 ? l2[i] * l1[i - 1] * d[i - 2] : 0);
          l1[i] = side / d[i - 1];
          d[i] -= l1[i] * side;
        }
      }
    }

    /// For every column of right, (N, C).
    internal double[] Solve(double[] right, int width) {
      var x = (double[])right.Clone();
      for (int i = 1; i < d.Length; i++)
        for (int k = i * width; k < (i + 1) * width; k++) {
          x[k] -= l1[i] * x[k - width];
          if (i > 1) x[k] -= l2[i] * x[k - 2 * width];
        }
      for (int i = 0; i < x.Length; i++) x[i] /= d[i / width];
      for (int i = d.Length - 2; i >= 0; i--)
        for (int k = i * width; k < (i + 1) * width; k++) {
          x[k] -= l1[i + 1] * x[k + width];
          if (i + 2 < d.Length) x[k] -= l2[i + 2] * x[k + 2 * width];
        }
      return x;
    }
  }
}

}
