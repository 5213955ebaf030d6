// What is left to a host when a lowered bundle's graphs are run by another engine: the prompt's
// tokens, noise from a seed, the schedule, a call of `step` for each denoising step, the decoder.
//
// The bundle is of `motionrt lower --target unity`, of the kimodo family; the default is one. The
// numbers are Python's with postprocess=False: motion correction and constraints are libmotionrt's.
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
  readonly int numBaseSteps, numSteps, textWidth, numFeatures, maxTokens;
  readonly string solver;
  readonly float[] guidance;
  readonly string[] joints;
  readonly int[] parents, hips;
  readonly float[] offsets;
  public readonly double Fps, AdvisedSeconds;

  /// manifest and tokenizer: the files' content. FormatException if they are of another kind.
  public KimodoHost(string manifest, string tokenizer, IGraphs graphs) {
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
    var step = Json.Object(Json.Object(document["graphs"], "graphs")["step"], "step");
    foreach (object input in Json.Get<List<object>>(step, "inputs")) {
      var tensor = Json.Object(input, "inputs");
      var axes = Json.Get<List<object>>(tensor, "axes");
      if ((string)tensor["name"] == "x") numFeatures = (int)(double)axes[axes.Count - 1];
    }
    var skeleton = Json.Object(document["output_skeleton"], "output_skeleton");
    joints = Json.Texts(skeleton["joint_names"]);
    parents = Json.Ints(skeleton["parents"]);
    offsets = Offsets((List<object>)skeleton["rest_positions"]);
    object pair;
    skeleton.TryGetValue("hip_joints", out pair);
    hips = pair == null ? new int[0] : Json.Ints(pair);
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

  float[] Offsets(List<object> rest) {
    var made = new float[3 * joints.Length];
    for (int joint = 0; joint < joints.Length; joint++)
      for (int i = 0; i < 3; i++) {
        double here = (double)((List<object>)rest[joint])[i];
        double there = parents[joint] < 0 ? 0 : (double)((List<object>)rest[parents[joint]])[i];
        made[3 * joint + i] = (float)(here - there);
      }
    return made;
  }

  /// Begin a motion. Of the options Seed, Seconds, NumFrames, NumSteps, Solver, GuidanceWeights,
  /// Embedding, FirstHeadingRad and Progress are heeded; the others are an ArgumentException.
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
  public List<int> Tokens(string prompt) { return tokenizer.Encode(Prompts.Clean(prompt), maxTokens); }

  /// A motion that is being made: each Step runs one graph, so that a frame loop can go on between.
  public sealed class Generation {
    readonly KimodoHost host;
    readonly Options options;
    readonly string prompt;
    readonly Schedule schedule;
    readonly uint seed;
    readonly int frames;
    readonly bool hasText;
    readonly Dictionary<string, HostTensor> inputs = new Dictionary<string, HostTensor>();
    float[] x, previous, text;
    int done;

    public HostClip Result { get; private set; }

    internal Generation(KimodoHost host, string prompt, Options options) {
      this.host = host;
      this.options = options;
      this.prompt = prompt;
      if (options.ConstraintsJson != null || options.ContinueFrom != null || options.Preset != null ||
          options.Postprocess == true)
        throw new ArgumentException(
            "constraints, clips to continue, presets and motion correction need libmotionrt");
      frames = options.NumFrames > 0 ? options.NumFrames : (int)Math.Min(options.Seconds * host.Fps, int.MaxValue);
      if (frames < 1 || frames > host.AdvisedSeconds * host.Fps + 0.5)
        throw new ArgumentException("a motion is of one frame to " + host.AdvisedSeconds + " seconds here");
      if (options.Seed > uint.MaxValue) throw new ArgumentException("seed: 0 to 2^32 - 1");
      seed = options.Seed >= 0 ? (uint)options.Seed : unchecked((uint)Guid.NewGuid().GetHashCode());
      schedule = new Schedule(host.numBaseSteps, options.NumSteps > 0 ? options.NumSteps : host.numSteps,
                              options.Solver ?? host.solver);
      if (options.Embedding != null && options.Embedding.Length != host.textWidth)
        throw new ArgumentException("an embedding has " + host.textWidth + " numbers");
      if (prompt.Split((char[])null, StringSplitOptions.RemoveEmptyEntries).Length > MaxPromptWords)
        throw new ArgumentException("a prompt has at most " + MaxPromptWords + " words");
      hasText = options.Embedding != null || Prompts.Clean(prompt) != "";
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
        inputs["x"] = new HostTensor(x, 1, frames, host.numFeatures);
        inputs["x0_previous"] = new HostTensor(previous, 1, frames, host.numFeatures);
        inputs["timestep"] = new HostTensor(new[] { schedule.Timesteps[done] }, 1);
        var row = new float[3];
        Array.Copy(schedule.Coefficients, 3 * done, row, 0, 3);
        inputs["coefficients"] = new HostTensor(row, 3);
        HostTensor[] state = host.graphs.Run("step", inputs, "x_next", "x0");
        x = state[0].Floats;
        previous = state[1].Floats;
        done++;
      } else {
        Tell("denoising", total, total);
        Result = Decode();
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
      int width = host.numFeatures;
      x = new Noise(seed).Draw(frames * width);
      previous = new float[frames * width];
      var mask = new int[frames];
      for (int i = 0; i < frames; i++) mask[i] = 1;
      var branches = new Branches(options.GuidanceWeights ?? host.guidance, hasText);
      int count = branches.Weights.Length;
      inputs["text_features"] = new HostTensor(text, 1, 1, host.textWidth);
      inputs["text_mask"] = new HostTensor(new[] { hasText ? 1 : 0 }, 1, 1);
      inputs["frame_mask"] = new HostTensor(mask, 1, frames);
      inputs["first_heading_rad"] = new HostTensor(new[] { options.FirstHeadingRad }, 1);
      inputs["motion_mask"] = new HostTensor(new float[frames * width], 1, frames, width);
      inputs["observed_motion"] = new HostTensor(new float[frames * width], 1, frames, width);
      inputs["branch_text"] = new HostTensor(branches.Text, count);
      inputs["branch_constraints"] = new HostTensor(branches.Constraints, count);
      inputs["branch_weights"] = new HostTensor(branches.Weights, count);
    }

    HostClip Decode() {
      var given = new Dictionary<string, HostTensor> {
        { "features", new HostTensor(x, 1, frames, host.numFeatures) }
      };
      HostTensor[] found = host.graphs.Run("decoder", given, "root_positions", "local_rot_mats", "posed_joints");
      return new HostClip(found[0].Floats, found[1].Floats, found[2].Floats, host.joints, host.parents, host.offsets,
                          host.hips, host.Fps, seed, prompt);
    }
  }
}

}
