// Denoising steps as a table, as motionrt.runtime.sampling.schedule makes it, and who is guided.
using System;
using System.Collections.Generic;

namespace Motionrt {

/// Steps of the cosine schedule in the order in which they are taken.
public sealed class Schedule {
  const double LowestHalfLogSnr = -4.5;

  public readonly int[] Timesteps;
  /// Three a step.
  public readonly float[] Coefficients;

  public Schedule(int numBaseSteps, int numSteps, string solver) {
    if (numSteps < 1 || numSteps > numBaseSteps)
      throw new ArgumentException(numSteps + " steps: must be from 1 to " + numBaseSteps);
    if (solver != "ddim" && solver != "dpmpp-2m")
      throw new ArgumentException("solver " + solver + ": choose ddim or dpmpp-2m");
    bool second = solver == "dpmpp-2m";
    float[] whole = AlphasCumprod(numBaseSteps);
    int[] rising = second ? LogSnrTimesteps(whole, numSteps) : Respaced(numBaseSteps, numSteps);
    float[] alphas = Shares(whole, rising);
    Timesteps = new int[numSteps];
    Coefficients = new float[3 * numSteps];
    for (int i = 0; i < numSteps; i++) {
      int row = numSteps - 1 - i;
      Timesteps[i] = rising[row];
      Row(alphas, row, second, i);
    }
  }

  static float[] AlphasCumprod(int count) {
    var alphas = new float[count];
    double product = 1;
    for (int i = 0; i < count; i++) {
      double beta = Math.Min(1 - Signal((i + 1.0) / count) / Signal((double)i / count), 0.999);
      product *= (float)(1f - (float)beta);
      alphas[i] = (float)product;
    }
    return alphas;
  }

  static double Signal(double time) {
    double c = Math.Cos((time + 0.008) / 1.008 * Math.PI / 2);
    return c * c;
  }

  static int[] Respaced(int numBaseSteps, int numSteps) {
    float stride = (float)((numBaseSteps - 1.0) / Math.Max(1, numSteps - 1));
    var steps = new int[numSteps];
    for (int i = 0; i < numSteps; i++)
      steps[i] = Math.Min((int)Math.Round((float)(i * stride), MidpointRounding.ToEven), numBaseSteps - 1);
    return steps;
  }

  /// Signal shares at rising base steps, by way of respaced betas.
  static float[] Shares(float[] whole, int[] steps) {
    var alphas = new float[steps.Length];
    double product = 1;
    float before = 1;
    for (int i = 0; i < steps.Length; i++) {
      float kept = whole[steps[i]], beta = (float)(1f - (float)(kept / before));
      product *= (float)(1f - beta);
      alphas[i] = Math.Max((float)product, 1e-9f);
      before = kept;
    }
    return alphas;
  }

  static int[] LogSnrTimesteps(float[] whole, int numSteps) {
    if (numSteps < 3 || numSteps >= whole.Length) return Spaced(whole, whole.Length, numSteps);
    var chosen = new List<int>(Spaced(whole, whole.Length - 1, numSteps - 1));
    chosen.Add(whole.Length - 1);
    return chosen.ToArray();
  }

  /// Base steps evenly spaced in the log of signal over noise.
  static int[] Spaced(float[] alphas, int count, int numSteps) {
    var snr = new double[count];
    for (int i = 0; i < count; i++) snr[i] = HalfLogSnr(alphas[i]);
    double first = snr[0], lowest = Math.Max(LowestHalfLogSnr, snr[count - 1]);
    var steps = new int[numSteps];
    int at = 0, most = int.MinValue;
    for (int i = 0; i < numSteps; i++) {
      double wanted = first;
      if (numSteps > 1) wanted = i == numSteps - 1 ? lowest : first + i * ((lowest - first) / (numSteps - 1));
      while (at + 2 < count && snr[at + 1] > wanted) at++;
      double share = Math.Min(Math.Max((snr[at] - wanted) / (snr[at] - snr[at + 1]), 0), 1);
      int step = (int)Math.Round(at + share, MidpointRounding.ToEven);
      most = Math.Max(most, step - i); // no step is taken twice
      steps[i] = Math.Min(most + i, count - numSteps + i);
    }
    return steps;
  }

  static double HalfLogSnr(double signal) { return 0.5 * (Math.Log(signal) - Math.Log(1 - signal)); }

  /// DDIM's row, or that of DPM-Solver++(2M), of rising shares.
  void Row(float[] alphas, int row, bool second, int place) {
    double signal = alphas[row], before = row > 0 ? alphas[row - 1] : 1.0;
    double a = Math.Sqrt((1 - before) / (1 - signal)), b = Math.Sqrt(before) - a * Math.Sqrt(signal), c = 0;
    if (second) {
      double step = HalfLogSnr(before) - HalfLogSnr(signal);
      b = Math.Sqrt(before) * (1 - Math.Exp(-step));
      if (row > 0 && row < alphas.Length - 1) {
        double half = 0.5 * step / (HalfLogSnr(signal) - HalfLogSnr(alphas[row + 1]));
        c = -b * half;
        b *= 1 + half;
      }
    }
    Coefficients[3 * place] = (float)a;
    Coefficients[3 * place + 1] = (float)b;
    Coefficients[3 * place + 2] = (float)c;
  }
}

/// The branches of classifier-free guidance that run; one that would equal the last is left out.
public sealed class Branches {
  public readonly float[] Text, Constraints, Weights;

  /// weights: none, one (regular) or two (separated: text, then constraints).
  public Branches(float[] weights, bool hasText, bool constrained) {
    var rows = new List<float[]>(); // text, constraints, weight; the last is guided away from
    if (weights.Length == 1 && (hasText || constrained)) rows.Add(new[] { 1, 1, weights[0] });
    if (weights.Length == 2 && hasText) rows.Add(new[] { 1, 0, weights[0] });
    if (weights.Length == 2 && constrained) rows.Add(new[] { 0, 1, weights[1] });
    rows.Add(weights.Length == 0 ? new float[] { 1, 1, 0 } : new float[3]);
    Text = rows.ConvertAll(row => row[0]).ToArray();
    Constraints = rows.ConvertAll(row => row[1]).ToArray();
    Weights = rows.ConvertAll(row => row[2]).ToArray();
  }
}

/// A solver, how many steps, and where guidance ends, as motionrt.runtime.kimodo.options names them.
public sealed class Preset {
  public readonly string Solver;
  public readonly int NumSteps;
  /// The base steps that are guided begin here, as a share of all; 1 is noise.
  public readonly double GuidedFrom;

  public Preset(string solver, int numSteps, double guidedFrom = 0) {
    Solver = solver;
    NumSteps = numSteps;
    GuidedFrom = guidedFrom;
  }

  /// Null for null; ArgumentException for a name that there is not.
  public static Preset Find(string name) {
    switch (name) {
      case null: return null;
      case "fast": return new Preset("dpmpp-2m", 12, 0.1);
      case "balanced": return new Preset("dpmpp-2m", 20);
      case "exact": return new Preset("ddim", 100);
      default: throw new ArgumentException("preset " + name + ": choose fast, balanced or exact");
    }
  }
}

}
