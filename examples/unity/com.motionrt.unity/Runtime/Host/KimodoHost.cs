// What is left to a host when a lowered bundle's graphs are run by another engine: the prompt's
// tokens, noise from a seed, constraints, the schedule, a call of `step` for each denoising step, the
// decoder, motion correction.
//
// The bundle is of `motionrt lower --target unity`, of the kimodo family; the default is one.
using System;
using System.Collections.Generic;

namespace Motionrt {

/// Numbers and their axes. Integers and booleans are Ints; one of the two is null.
public sealed class HostTensor {
  public readonly int[] Shape;
  public readonly float[] Floats;
  public readonly int[] Ints;

  public HostTensor(float[] floats, params int[] shape) { Floats = floats; Shape = shape; }
  public HostTensor(int[] ints, params int[] shape) { Ints = ints; Shape = shape; }
}

/// What runs the graphs of a lowered bundle: step, decoder and text_encoder.
public interface IGraphs {
  /// The named outputs of a graph for its inputs by name.
  HostTensor[] Run(string graph, Dictionary<string, HostTensor> inputs, params string[] outputs);
}

/// A bundle of the kimodo family: its manifest and tokenizer, and what runs its graphs.
public sealed class KimodoHost {
  const int MaxPromptWords = 1000;
  readonly IGraphs graphs;
  readonly Tokenizer tokenizer;
  readonly int numBaseSteps, numSteps, textWidth, maxTokens;
  readonly string solver;
  readonly float[] guidance;
  readonly Skeleton skeleton, shown;
  readonly Features features;
  /// Where the model's joints are among those that are shown; null where they are the same.
  readonly int[] places;
  public readonly double Fps, AdvisedSeconds;

  /// manifest, tokenizer and statistics: the files' content. Without tokenizer prompts are given as
  /// embeddings, without statistics there are no constraints. FormatException for another kind.
  public KimodoHost(string manifest, string tokenizer, IGraphs graphs, byte[] statistics = null) {
    this.graphs = graphs;
    var document = Json.Object(Json.Parse(manifest), "manifest");
    if (Json.Get<string>(document, "family") != "kimodo")
      throw new FormatException("the host runs bundles of the kimodo family");
    Fps = Json.Get<double>(document, "fps");
    AdvisedSeconds = Json.Get<double>(Json.Object(document["limits"], "limits"), "advised_seconds");
    var sampler = Json.Object(document["sampler"], "sampler");
    numBaseSteps = (int)Json.Get<double>(sampler, "num_base_steps");
    numSteps = (int)Json.Get<double>(sampler, "num_steps");
    textWidth = (int)Json.Get<double>(sampler, "text_width");
    solver = Json.Get<string>(sampler, "solver");
    string mode = Json.Get<string>(sampler, "guidance_type");
    object weights;
    sampler.TryGetValue("guidance_weights", out weights);
    guidance = new float[mode == "separated" ? 2 : mode == "regular" ? 1 : 0];
    for (int i = 0; i < guidance.Length; i++)
      guidance[i] = weights == null ? 2 : (float)(double)((List<object>)weights)[i];
    skeleton = new Skeleton(document["skeleton"], "skeleton");
    shown = new Skeleton(document["output_skeleton"], "output_skeleton");
    if (skeleton.Hips.Length != 2) throw new FormatException("skeleton: it needs two hip_joints");
    features = new Features(skeleton, statistics);
    var decoder = Json.Object(Json.Object(document["graphs"], "graphs")["decoder"], "decoder");
    foreach (object output in Json.Get<List<object>>(decoder, "outputs"))
      if ((string)Json.Object(output, "outputs")["name"] == "native_local_rot_mats") places = shown.Find(skeleton);
    if (tokenizer == null) return;
    var text = Json.Object(document["text"], "text");
    var rules = Json.Object(text["rules"], "rules");
    maxTokens = (int)Json.Get<double>(rules, "max_tokens");
    bool plain = Json.Get<string>(rules, "prefix") == "" && Json.Get<string>(rules, "suffix") == "" &&
                 Json.Get<string>(rules, "pool") == "all" && !Json.Get<bool>(rules, "special_tokens") &&
                 !Json.Get<bool>(rules, "repeat") && !Json.Get<bool>(rules, "trim_end") &&
                 Json.Get<double>(rules, "pool_skip") == 0 && rules["text_tokens"] == null && rules["separator"] == null;
    if (!plain) throw new FormatException("the text encoder takes more than a prompt's tokens; use libmotionrt");
    this.tokenizer = new Tokenizer(tokenizer);
  }

  /// Begin a motion. Of the options ContinueFrom is an ArgumentException, and so are more seconds than
  /// the model was trained on: both need libmotionrt.
  public Generation Begin(string prompt, Options options = null) {
    return new Generation(this, prompt, options ?? new Options());
  }

  /// All of it at once.
  public HostClip Generate(string prompt, Options options = null) {
    Generation made = Begin(prompt, options);
    while (!made.Step()) {}
    return made.Result;
  }

  /// The tokens of a prompt as the text encoder takes them.
  public List<int> Tokens(string prompt) {
    if (tokenizer == null) throw new ArgumentException("without tokenizer.json a prompt needs its embedding");
    return tokenizer.Encode(Prompts.Clean(prompt), maxTokens);
  }

  /// A motion that is being made: each Step runs one graph, so that a frame loop can go on between.
  public sealed class Generation {
    readonly KimodoHost host;
    readonly Options options;
    readonly string prompt;
    readonly Preset preset;
    readonly Schedule schedule;
    readonly List<Constraint> constraints;
    readonly uint seed;
    readonly int frames;
    readonly bool hasText, correct;
    readonly Dictionary<string, HostTensor> inputs = new Dictionary<string, HostTensor>();
    float[] x, previous, text;
    HostTensor[] decoded;
    int done;

    public HostClip Result { get; private set; }

    internal Generation(KimodoHost host, string prompt, Options options) {
      this.host = host;
      this.options = options;
      this.prompt = prompt;
      if (options.ContinueFrom != null) throw new ArgumentException("clips to continue need libmotionrt");
      frames = options.NumFrames > 0 ? options.NumFrames : (int)Math.Min(options.Seconds * host.Fps, int.MaxValue);
      if (frames < 1 || frames > host.AdvisedSeconds * host.Fps + 0.5)
        throw new ArgumentException("a motion is of one frame to " + host.AdvisedSeconds + " seconds here");
      if (options.Seed > uint.MaxValue) throw new ArgumentException("seed: 0 to 2^32 - 1");
      seed = options.Seed >= 0 ? (uint)options.Seed : unchecked((uint)Guid.NewGuid().GetHashCode());
      preset = Preset.Find(options.Preset) ?? new Preset(host.solver, host.numSteps);
      schedule = new Schedule(host.numBaseSteps, options.NumSteps > 0 ? options.NumSteps : preset.NumSteps,
                              options.Solver ?? preset.Solver);
      Constraint.CheckFrames(constraints = ReadConstraints(), frames);
      correct = options.Postprocess ?? host.skeleton.Corrected;
      int weights = options.GuidanceWeights == null ? 1 : options.GuidanceWeights.Length;
      if (weights < 1 || weights > 2) throw new ArgumentException("give one guidance weight, or two");
      if (float.IsNaN(options.FirstHeadingRad) || float.IsInfinity(options.FirstHeadingRad))
        throw new ArgumentException("the first heading must be finite");
      if (options.Embedding != null && options.Embedding.Length != host.textWidth)
        throw new ArgumentException("an embedding has " + host.textWidth + " numbers");
      if (prompt.Split((char[])null, StringSplitOptions.RemoveEmptyEntries).Length > MaxPromptWords)
        throw new ArgumentException("a prompt has at most " + MaxPromptWords + " words");
      hasText = options.Embedding != null || Prompts.Clean(prompt) != "";
    }

    List<Constraint> ReadConstraints() {
      if (options.ConstraintsJson == null) return new List<Constraint>();
      if (!host.features.Known)
        throw new ArgumentException("constraints need the bundle's statistics (statistics.bytes)");
      return Constraint.Read(options.ConstraintsJson, host.skeleton, host.places == null ? null : host.shown);
    }

    /// Run the next graph; true when Result is there. OperationCanceledException if Progress said so.
    public bool Step() {
      if (Result != null) return true;
      int total = schedule.Timesteps.Length;
      if (text == null) {
        Tell("encoding text", 0, 1);
        text = options.Embedding ?? (hasText ? Encode() : new float[host.textWidth]);
        Prepare();
      } else if (done < total) {
        Tell("denoising", done, total);
        inputs["x"] = new HostTensor(x, 1, frames, host.features.Width);
        inputs["x0_previous"] = new HostTensor(previous, 1, frames, host.features.Width);
        inputs["timestep"] = new HostTensor(new[] { schedule.Timesteps[done] }, 1);
        var row = new float[3];
        Array.Copy(schedule.Coefficients, 3 * done, row, 0, 3);
        inputs["coefficients"] = new HostTensor(row, 3);
        Guide(schedule.Timesteps[done]);
        HostTensor[] state = host.graphs.Run("step", inputs, "x_next", "x0");
        x = state[0].Floats;
        previous = state[1].Floats;
        done++;
      } else if (decoded == null) {
        Tell("denoising", total, total);
        Decode();
        if (!correct) Result = ClipOf(decoded[1].Floats, decoded[0].Floats, decoded[2].Floats);
      } else {
        Tell("cleaning up", 0, 1);
        Result = Corrected();
      }
      return Result != null;
    }

    void Tell(string stage, int count, int total) {
      if (options.Progress != null && !options.Progress(stage, count, total))
        throw new OperationCanceledException();
    }

    float[] Encode() {
      List<int> ids = host.Tokens(prompt);
      if (ids.Count == 0) ids.Add(0);
      var ones = new int[ids.Count];
      for (int i = 0; i < ones.Length; i++) ones[i] = 1;
      var given = new Dictionary<string, HostTensor> {
        { "input_ids", new HostTensor(ids.ToArray(), 1, ids.Count) },
        { "attention_mask", new HostTensor(ones, 1, ids.Count) },
        { "pool_mask", new HostTensor(ones, 1, ids.Count) }
      };
      return host.graphs.Run("text_encoder", given, "text_features")[0].Floats;
    }

    void Prepare() {
      int width = host.features.Width;
      x = new Noise(seed).Draw(frames * width);
      previous = new float[frames * width];
      var mask = new int[frames];
      for (int i = 0; i < frames; i++) mask[i] = 1;
      var observed = new float[frames * width];
      var given = new float[frames * width];
      if (constraints.Count > 0) {
        var observation = new Observation(constraints, host.features, frames);
        observed = observation.Motion;
        given = observation.Mask;
      }
      inputs["text_features"] = new HostTensor(text, 1, 1, host.textWidth);
      inputs["text_mask"] = new HostTensor(new[] { hasText ? 1 : 0 }, 1, 1);
      inputs["frame_mask"] = new HostTensor(mask, 1, frames);
      inputs["first_heading_rad"] = new HostTensor(new[] { options.FirstHeadingRad }, 1);
      inputs["motion_mask"] = new HostTensor(given, 1, frames, width);
      inputs["observed_motion"] = new HostTensor(observed, 1, frames, width);
    }

    /// Which branches of guidance run at a step: outside of a preset's interval one, with all.
    void Guide(int timestep) {
      bool guided = timestep >= preset.GuidedFrom * host.numBaseSteps;
      float[] weights = guided ? options.GuidanceWeights ?? host.guidance : new float[0];
      var branches = new Branches(weights, hasText, constraints.Count > 0);
      int count = branches.Weights.Length;
      inputs["branch_text"] = new HostTensor(branches.Text, count);
      inputs["branch_constraints"] = new HostTensor(branches.Constraints, count);
      inputs["branch_weights"] = new HostTensor(branches.Weights, count);
    }

    void Decode() {
      var given = new Dictionary<string, HostTensor> {
        { "features", new HostTensor(x, 1, frames, host.features.Width) }
      };
      var names = new List<string> { "root_positions", "local_rot_mats", "posed_joints" };
      if (correct) names.Add("foot_contacts");
      if (correct && host.places != null) names.Add("native_local_rot_mats");
      decoded = host.graphs.Run("decoder", given, names.ToArray());
    }

    /// What was decoded, cleaned up on the model's own skeleton.
    HostClip Corrected() {
      Skeleton skeleton = host.skeleton, shown = host.shown;
      double[] root = Doubles(decoded[0]), local = Doubles(decoded[host.places == null ? 1 : 4]);
      MotionCorrection.Correct(skeleton, local, root, Doubles(decoded[3]),
                               Constraint.Targets(constraints, skeleton, frames));
      double[] whole = local;
      if (host.places != null) { // the other joints (fingers) stay as they are
        whole = Doubles(decoded[1]);
        for (int t = 0; t < frames; t++)
          for (int joint = 0; joint < skeleton.Count; joint++)
            Array.Copy(local, 9 * (t * skeleton.Count + joint), whole, 9 * (t * shown.Count + host.places[joint]), 9);
      }
      return ClipOf(Floats(whole), Floats(root), Floats(shown.PoseOf(whole, root).Positions));
    }

    HostClip ClipOf(float[] local, float[] root, float[] posed) {
      Skeleton shown = host.shown;
      return new HostClip(root, local, posed, shown.Joints, shown.Parents, shown.Offsets, shown.Hips, host.Fps, seed,
                          prompt);
    }

    static double[] Doubles(HostTensor tensor) {
      return tensor.Floats != null ? Array.ConvertAll(tensor.Floats, value => (double)value)
                                   : Array.ConvertAll(tensor.Ints, value => (double)value);
    }

    static float[] Floats(double[] values) { return Array.ConvertAll(values, value => (float)value); }
  }
}

}
