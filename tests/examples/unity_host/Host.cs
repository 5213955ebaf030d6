// Host.exe BUNDLE CASES DUMP: the host's parts by themselves, motions that it makes, and a Humanoid that the
// Inference Engine moves. CASES is JSON, what is asked for; DUMP gets lines of a word and numbers.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Reflection;
using Motionrt;
using Unity.InferenceEngine;
using UnityEngine;

static class Host {
  static TextWriter dump;

  static int Main(string[] arguments) {
    string bundle = arguments[0];
    dump = new StreamWriter(arguments[2]);
    var cases = (Dictionary<string, object>)Json.Parse(File.ReadAllText(arguments[1]));
    Parts(bundle, (List<object>)cases["strings"]);
    foreach (object body in (List<object>)cases["bodies"]) Body((Dictionary<string, object>)body);
    Refusals(bundle, (List<object>)cases["refused"]);
    Motions(bundle, (List<object>)cases["motions"]);
    Expanded((Dictionary<string, object>)cases["expanded"]);
    Clips();
    int failed = Player(bundle) ? 0 : 1;
    dump.Dispose();
    return failed;
  }

  static void Line(string what, IEnumerable<float> numbers) {
    var words = new List<string> { what };
    foreach (float number in numbers) words.Add(number.ToString("R", CultureInfo.InvariantCulture));
    dump.WriteLine(string.Join(" ", words));
  }

  static void Parts(string bundle, List<object> strings) {
    var tokenizer = new Tokenizer(File.ReadAllText(Path.Combine(bundle, "tokenizer.json")));
    foreach (string text in strings) {
      dump.WriteLine("clean " + Convert.ToBase64String(System.Text.Encoding.UTF8.GetBytes(Prompts.Clean(text))));
      dump.WriteLine("tokens " + string.Join(" ", tokenizer.Encode(text, 512)));
    }
    foreach (uint seed in new uint[] { 0, 7, 4294967295 })
      foreach (int count in new[] { 16, 40, 5460 }) Line("noise", new Noise(seed).Draw(count));
    foreach (string solver in new[] { "ddim", "dpmpp-2m" })
      foreach (int steps in new[] { 1, 2, 3, 12, 20, 100, 1000 }) {
        var schedule = new Schedule(1000, steps, solver);
        dump.WriteLine("timesteps " + string.Join(" ", schedule.Timesteps));
        Line("coefficients", schedule.Coefficients);
      }
  }

  static void Line(string what, IEnumerable<double> numbers) {
    var words = new List<string> { what };
    foreach (double number in numbers) words.Add(number.ToString("R", CultureInfo.InvariantCulture));
    dump.WriteLine(string.Join(" ", words));
  }

  static double[] Numbers(object list) { return ((List<object>)list).ConvertAll(number => (double)number).ToArray(); }

  static float[] Floats(object list) { return ((List<object>)list).ConvertAll(number => (float)(double)number).ToArray(); }

  /// What a model sees of constraints, and what they make of a clip afterwards.
  static void Body(Dictionary<string, object> given) {
    var skeleton = new Skeleton(given["skeleton"], "skeleton");
    var larger = given["larger"] == null ? null : new Skeleton(given["larger"], "larger");
    var constraints = Constraint.Read((string)given["constraints"], skeleton, larger);
    double[] local = Numbers(given["local"]), root = Numbers(given["root"]);
    var features = new Features(skeleton, Convert.FromBase64String((string)given["statistics"]));
    var seen = new Observation(constraints, features, root.Length / 3);
    Line("observed", seen.Motion);
    Line("mask", seen.Mask);
    var targets = Constraint.Targets(constraints, skeleton, root.Length / 3);
    MotionCorrection.Correct(skeleton, local, root, Numbers(given["contacts"]), targets);
    Line("corrected", local);
    Line("moved_root", root);
  }

  static KimodoHost Load(string bundle, IGraphs graphs) {
    return new KimodoHost(File.ReadAllText(Path.Combine(bundle, "manifest.json")),
                          File.ReadAllText(Path.Combine(bundle, "tokenizer.json")), graphs,
                          File.ReadAllBytes(Path.Combine(bundle, "statistics.bytes")));
  }

  static InferenceGraphs Graphs() {
    return new InferenceGraphs(new ModelAsset { graph = "step" }, new ModelAsset { graph = "decoder" },
                               new ModelAsset { graph = "text_encoder" }, BackendType.CPU);
  }

  static void Refusals(string bundle, List<object> files) {
    KimodoHost host = Load(bundle, null);
    foreach (object constraints in files) {
      string told = "taken";
      try {
        host.Begin("", new Options { Seconds = 3, ConstraintsJson = (string)constraints });
      } catch (ArgumentException error) {
        told = error.Message;
      }
      dump.WriteLine("line " + told);
    }
  }

  static void Motions(string bundle, List<object> wanted) {
    using (InferenceGraphs graphs = Graphs()) {
      KimodoHost host = Load(bundle, graphs);
      foreach (Dictionary<string, object> given in wanted) {
        var options = new Options { Seed = (long)(double)given["seed"], Seconds = (double)given["seconds"] };
        if (given.ContainsKey("num_steps")) options.NumSteps = (int)(double)given["num_steps"];
        if (given.ContainsKey("preset")) options.Preset = (string)given["preset"];
        if (given.ContainsKey("constraints")) options.ConstraintsJson = (string)given["constraints"];
        if (given.ContainsKey("postprocess")) options.Postprocess = (bool)given["postprocess"];
        if (given.ContainsKey("guidance_weights")) options.GuidanceWeights = Floats(given["guidance_weights"]);
        HostClip made = host.Generate((string)given["prompt"], options);
        Line("motion_roots", made.RootPositions());
        Line("motion_rotations", made.LocalRotations());
      }
    }
  }

  /// Graphs that always decode the same arrays.
  sealed class Decoded : IGraphs {
    readonly Dictionary<string, object> arrays;
    internal Decoded(Dictionary<string, object> arrays) { this.arrays = arrays; }

    public HostTensor[] Run(string graph, Dictionary<string, HostTensor> inputs, params string[] outputs) {
      return Array.ConvertAll(outputs, name => new HostTensor(
          graph == "decoder" ? Floats(arrays[name]) : new float[graph == "step" ? inputs["x"].Floats.Length : 128], 1));
    }
  }

  /// A body that is corrected with fewer joints than it is shown with.
  static void Expanded(Dictionary<string, object> given) {
    var host = new KimodoHost((string)given["manifest"], null, new Decoded(given));
    var options = new Options {
      Seed = 0, NumFrames = Floats(given["root_positions"]).Length / 3, Embedding = new float[128]
    };
    HostClip made = host.Generate("a person walks", options);
    Line("expanded_roots", made.RootPositions());
    Line("expanded_rotations", made.LocalRotations());
    var way = new float[3];
    try {
      host.Generate("a person walks", new Options { Seed = 0, NumFrames = 20 });
    } catch (ArgumentException error) {
      dump.WriteLine("untold " + error.Message);
    }
    Line("expanded_way", new[] { made.RootDelta(0, 1, 0, way), way[0], way[2] });
  }

  /// The library's motion and one of its numbers, sampled by both.
  static void Clips() {
    using (var pipeline = new Pipeline(Environment.GetEnvironmentVariable("MOTIONRT_BUNDLE")))
    using (Motion motion = pipeline.Generate("a person turns around", new Options { Seed = 3, Seconds = 1 })) {
      float[] rotations = motion.LocalRotations(), mats = new float[rotations.Length / 4 * 9];
      for (int i = 0; i < rotations.Length / 4; i++) {
        float w = rotations[4 * i], x = rotations[4 * i + 1], y = rotations[4 * i + 2], z = rotations[4 * i + 3];
        float[] m = {
          1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
          2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
          2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
        };
        m.CopyTo(mats, 9 * i);
      }
      int[] hips = { Array.IndexOf(motion.JointNames, "RightUpLeg"), Array.IndexOf(motion.JointNames, "LeftUpLeg") };
      var clip = new HostClip(motion.RootPositions(), mats, motion.GlobalPositions(), motion.JointNames,
                              motion.Parents, motion.RestOffsets, hips, motion.Fps, 3, "");
      foreach (uint flags in new uint[] { 0, 1, 2, 3 })
        foreach (double time in new[] { 0, 0.02, 0.43, 0.95, 1.7, 5.31 })
          foreach (Clip shown in new Clip[] { motion, clip }) {
            var pose = new float[3 + 4 * shown.NumJoints + 4];
            var turns = new float[4 * shown.NumJoints];
            var root = new float[3];
            shown.Sample(time, flags, root, turns);
            root.CopyTo(pose, 0);
            for (int joint = 0; joint < shown.NumJoints; joint++) // q and -q turn alike
              for (int i = 0; i < 4; i++)
                pose[3 + 4 * joint + i] = turns[4 * joint + i] * (turns[4 * joint] < 0 ? -1 : 1);
            pose[pose.Length - 4] = shown.RootDelta(0.1, time + 0.1, flags, root);
            root.CopyTo(pose, pose.Length - 3);
            Line(shown == motion ? "library" : "host", pose);
          }
    }
  }

  static object Call(MotionrtPlayer player, string method) {
    return typeof(MotionrtPlayer).GetMethod(method, BindingFlags.Instance | BindingFlags.NonPublic).Invoke(player, null);
  }

  static bool Player(string bundle) {
    var character = new GameObject("character");
    var hips = new GameObject("hips").transform;
    hips.SetParent(character.transform, false);
    hips.localPosition = new Vector3(0, 1, 0);
    var human = new List<HumanBone> { new HumanBone { boneName = "hips", humanName = "Hips" } };
    var skeleton = new List<SkeletonBone> { new SkeletonBone { name = "hips", position = hips.localPosition } };
    foreach (string bone in Avatar.Required) {
      if (bone == "Hips") continue;
      var place = new GameObject(bone).transform;
      place.SetParent(hips, false); // where, matters of one thigh alone: it is the model's size
      place.localPosition = new Vector3(-.09f, bone == "LeftLowerLeg" ? -.48f : -.06f, 0);
      human.Add(new HumanBone { boneName = bone, humanName = bone });
      skeleton.Add(new SkeletonBone { name = bone, position = place.localPosition });
    }
    character.AddComponent<Animator>().avatar = AvatarBuilder.BuildHumanAvatar(
        character, new HumanDescription { human = human.ToArray(), skeleton = skeleton.ToArray() });
    var player = character.AddComponent<InferencePlayer>();
    player.manifest = new TextAsset { bytes = File.ReadAllBytes(Path.Combine(bundle, "manifest.json")) };
    player.tokenizer = new TextAsset { bytes = File.ReadAllBytes(Path.Combine(bundle, "tokenizer.json")) };
    player.statistics = new TextAsset { bytes = File.ReadAllBytes(Path.Combine(bundle, "statistics.bytes")) };
    player.constraints = new TextAsset { bytes = File.ReadAllBytes("constraints.json") };
    player.step = new ModelAsset { graph = "step" };
    player.decoder = new ModelAsset { graph = "decoder" };
    player.textEncoder = new ModelAsset { graph = "text_encoder" };
    player.seed = 5;
    player.seconds = 2;
    player.loop = false;
    player.prompt = "a person walks forward";
    Call(player, "Start");
    int frames = 0;
    for (; player.IsGenerating; frames++) Call(player, "Update");
    dump.WriteLine("frames " + frames);
    if (Debug.errors.Count > 0) throw new InvalidOperationException(Debug.errors[0]);
    var clip = (HostClip)typeof(MotionrtPlayer).GetField("motion", BindingFlags.Instance | BindingFlags.NonPublic)
        .GetValue(player);
    Line("roots", clip.RootPositions());
    Line("rotations", clip.LocalRotations());
    float before = character.transform.position.z;
    for (Time.deltaTime = 0; ; Time.deltaTime = 1) {
      Call(player, "LateUpdate");
      if (Time.deltaTime > 0) break;
    }
    Line("moved", new[] { character.transform.position.z - before, hips.position.y });

    // Refused in one line, and gone while one is made: nothing is left.
    player.seconds = 60;
    player.Play("a person walks");
    Call(player, "Update");
    dump.WriteLine("refused " + Debug.errors[0]);
    player.seconds = 1;
    player.Play("");
    Call(player, "Update");
    Call(player, "OnDestroy");
    dump.WriteLine("left " + Worker.undisposed + " " + Tensor.undisposed + " " + HumanPoseHandler.undisposed);
    return true;
  }
}
