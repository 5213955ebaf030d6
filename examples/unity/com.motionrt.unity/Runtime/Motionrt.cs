// motionrt for C# and Unity: this file, Clip.cs and the native library. C# 7, no other package.
//
//   using (var pipeline = new Motionrt.Pipeline("bundle"))
//   using (var motion = pipeline.Generate("a person walks forward", new Motionrt.Options { Seed = 1 }))
//     motion.Save("walk.bvh");
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;

namespace Motionrt {

public enum Status {
  Ok = 0, BadArgument = -1, BadInput = -2, BadBundle = -3, NoBackend = -4, NoMemory = -5,
  FileError = -6, Cancelled = -7, Busy = -8
}

public sealed class MotionrtException : Exception {
  public readonly Status Status;
  internal MotionrtException(Status status) : base(Native.Text(Native.mrt_last_error())) {
    Status = status;
  }
}

/// The functions of motionrt.h that this wrapper uses, as they are.
internal static class Native {
#if UNITY_IOS && !UNITY_EDITOR
  const string Library = "__Internal";
#else
  const string Library = "motionrt";
#endif

  [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
  [return: MarshalAs(UnmanagedType.I1)]
  internal delegate bool ProgressFn(IntPtr user, IntPtr stage, int done, int total);

  /// Code that is compiled ahead (IL2CPP, iOS) lets C call static methods alone, marked by an
  /// attribute of this name.
  sealed class MonoPInvokeCallbackAttribute : Attribute {
    public MonoPInvokeCallbackAttribute(Type type) {}
  }

  /// Whom to tell of progress, and what that threw.
  internal sealed class Listener {
    internal Func<string, int, int, bool> progress;
    internal Exception raised;
  }

  internal static readonly ProgressFn Listen = ListenStatic;

  [MonoPInvokeCallback(typeof(ProgressFn))]
  static bool ListenStatic(IntPtr user, IntPtr stage, int done, int total) {
    var listener = (Listener)GCHandle.FromIntPtr(user).Target;
    try {
      return listener.progress(Text(stage), done, total);
    } catch (Exception error) { // C cannot carry it: it is thrown after the call
      listener.raised = error;
      return false;
    }
  }

  [StructLayout(LayoutKind.Sequential)]
  internal struct LoadOptions {
    internal UIntPtr structSize;
    internal int threads;
    internal IntPtr backend, onnxruntime;
    [MarshalAs(UnmanagedType.I1)] internal bool checkHashes;
  }

  [StructLayout(LayoutKind.Sequential)]
  internal struct GenerateOptions {
    internal UIntPtr structSize;
    internal long seed;
    internal double seconds;
    internal int numFrames, numSamples;
    [MarshalAs(UnmanagedType.I1)] internal bool sampleSeeds;
    internal int numSteps;
    internal IntPtr solver, preset, guidanceWeights;
    internal int numGuidanceWeights;
    [MarshalAs(UnmanagedType.I1)] internal bool noGuidance;
    internal float firstHeadingRad;
    internal IntPtr constraintsJson, constraints;
    internal int numConstraints, postprocess;
    internal double rootMargin;
    internal int numTransitionFrames;
    internal IntPtr compat, continueFrom, embedding;
    internal ProgressFn progress;
    internal IntPtr progressUser, firstHeadingsRad, noise;
    internal long numNoise;
    [MarshalAs(UnmanagedType.I1)] internal bool noChain;
    internal double temperature;
    internal IntPtr textTemplate;
  }

  [StructLayout(LayoutKind.Sequential)]
  internal struct PipelineInfo {
    internal UIntPtr structSize;
    internal IntPtr family, name, backend;
    internal double fps;
    internal int maxFrames;
    internal double advisedSeconds;
    internal int numFeatures, textWidth;
    [MarshalAs(UnmanagedType.I1)] internal bool hasTextEncoder;
    internal int numBookPrompts;
    [MarshalAs(UnmanagedType.I1)] internal bool takesSequences;
    internal long numBytes;
  }

  [StructLayout(LayoutKind.Sequential)]
  internal struct MotionInfo {
    internal UIntPtr structSize;
    internal int numFrames, numJoints, numContacts, numFeatures;
    internal double fps, seconds;
    internal uint seed;
    internal int sample;
    internal IntPtr prompt;
  }

  [DllImport(Library)] internal static extern IntPtr mrt_last_error();
  [DllImport(Library)] internal static extern IntPtr mrt_version();
  [DllImport(Library)] internal static extern IntPtr mrt_onnxruntime_version();
  [DllImport(Library)] internal static extern Status mrt_pipeline_load(byte[] folder, ref LoadOptions options, out IntPtr pipeline);
  [DllImport(Library)] internal static extern void mrt_pipeline_free(IntPtr pipeline);
  [DllImport(Library)] internal static extern Status mrt_generate(IntPtr pipeline, byte[] prompt, ref GenerateOptions options, out IntPtr motion);
  [DllImport(Library)] internal static extern Status mrt_generate_sequence(IntPtr pipeline, IntPtr[] prompts, double[] seconds, int count, ref GenerateOptions options, out IntPtr motions);
  [DllImport(Library)] internal static extern Status mrt_generate_json(IntPtr pipeline, byte[] request, byte[] folder, ref GenerateOptions options, out IntPtr motions);
  [DllImport(Library)] internal static extern Status mrt_pipeline_get_info(IntPtr pipeline, ref PipelineInfo info);
  [DllImport(Library)] internal static extern IntPtr mrt_pipeline_book_prompt(IntPtr pipeline, int index);
  [DllImport(Library)] internal static extern Status mrt_embed(IntPtr pipeline, byte[] prompt, float[] embedding, int capacity);
  [DllImport(Library)] internal static extern int mrt_motions_count(IntPtr motions);
  [DllImport(Library)] internal static extern IntPtr mrt_motions_get(IntPtr motions, int index);
  [DllImport(Library)] internal static extern void mrt_motions_free(IntPtr motions);
  [DllImport(Library)] internal static extern void mrt_motion_free(IntPtr motion);
  [DllImport(Library)] internal static extern Status mrt_motion_get_info(IntPtr motion, ref MotionInfo info);
  [DllImport(Library)] internal static extern IntPtr mrt_motion_skeleton(IntPtr motion);
  [DllImport(Library)] internal static extern IntPtr mrt_motion_root_positions(IntPtr motion);
  [DllImport(Library)] internal static extern IntPtr mrt_motion_local_rotations(IntPtr motion);
  [DllImport(Library)] internal static extern IntPtr mrt_motion_global_positions(IntPtr motion);
  [DllImport(Library)] internal static extern Status mrt_motion_sample(IntPtr motion, double seconds, uint flags, float[] root, float[] rotations);
  [DllImport(Library)] internal static extern Status mrt_motion_root_delta(IntPtr motion, double from, double to, uint flags, float[] translation, out float turn);
  [DllImport(Library)] internal static extern Status mrt_motion_save(IntPtr motion, byte[] path);
  [DllImport(Library)] internal static extern int mrt_skeleton_num_joints(IntPtr skeleton);
  [DllImport(Library)] internal static extern IntPtr mrt_skeleton_joint_name(IntPtr skeleton, int joint);
  [DllImport(Library)] internal static extern IntPtr mrt_skeleton_parents(IntPtr skeleton);
  [DllImport(Library)] internal static extern IntPtr mrt_skeleton_rest_offsets(IntPtr skeleton);

  internal static void Check(Status status) {
    if (status != Status.Ok) throw new MotionrtException(status);
  }

  /// UTF-8 with a zero behind it; null stays null.
  internal static byte[] Bytes(string text) {
    return text == null ? null : Encoding.UTF8.GetBytes(text + "\0");
  }

  internal static string Text(IntPtr utf8) {
    if (utf8 == IntPtr.Zero) return null;
    int length = 0;
    while (Marshal.ReadByte(utf8, length) != 0) length++;
    var bytes = new byte[length];
    Marshal.Copy(utf8, bytes, 0, length);
    return Encoding.UTF8.GetString(bytes);
  }

  internal static float[] Floats(IntPtr from, int count) {
    if (from == IntPtr.Zero) return null;
    var values = new float[count];
    Marshal.Copy(from, values, 0, count);
    return values;
  }
}

/// Texts that C reads during one call.
internal sealed class Kept : IDisposable {
  readonly List<IntPtr> blocks = new List<IntPtr>();

  /// Null for an empty text, or the empty one.
  internal IntPtr Text(string text, bool empty = false) {
    if (text == null || (text == "" && !empty)) return IntPtr.Zero;
    byte[] bytes = Native.Bytes(text);
    IntPtr block = Marshal.AllocHGlobal(bytes.Length);
    blocks.Add(block);
    Marshal.Copy(bytes, 0, block, bytes.Length);
    return block;
  }

  internal IntPtr Floats(float[] values) {
    if (values == null || values.Length == 0) return IntPtr.Zero;
    IntPtr block = Marshal.AllocHGlobal(4 * values.Length);
    blocks.Add(block);
    Marshal.Copy(values, 0, block, values.Length);
    return block;
  }

  public void Dispose() {
    foreach (IntPtr block in blocks) Marshal.FreeHGlobal(block);
    blocks.Clear();
  }
}

/// A list that owns its motions; it goes with the last of them.
internal sealed class MotionList {
  readonly IntPtr handle;
  int left;

  internal MotionList(IntPtr handle) {
    this.handle = handle;
    left = Native.mrt_motions_count(handle);
  }

  internal Motion[] Take() {
    var motions = new Motion[left];
    for (int i = 0; i < motions.Length; i++) motions[i] = new Motion(Native.mrt_motions_get(handle, i), this);
    return motions;
  }

  internal void Release() {
    if (Interlocked.Decrement(ref left) == 0) Native.mrt_motions_free(handle);
  }
}

/// What motionrt.h says of mrt_generate_options.
public sealed class Options {
  /// 0 to 2^32 - 1; negative: one is drawn.
  public long Seed = -1;
  public double Seconds = 5;
  /// At the bundle's fps; 0: what Seconds say.
  public int NumFrames;
  /// Denoising steps; 0: the model's.
  public int NumSteps;
  /// ddim, dpmpp-2m or ancestral; null: the model's.
  public string Solver;
  /// fast, balanced or exact.
  public string Preset;
  /// A constraint file's content.
  public string ConstraintsJson;
  /// One, or two (text, constraints); null: the model's.
  public float[] GuidanceWeights;
  /// Meet constraints exactly and keep standing feet still; null: the model's.
  public bool? Postprocess;
  /// Instead of the prompt: what Embed gave for it.
  public float[] Embedding;
  /// Where the body faces at first: 0 is +z, pi/2 is +x.
  public float FirstHeadingRad;
  /// Begin with this motion and carry on (Kimodo's bundles; the default is one).
  public Motion ContinueFrom;
  /// Called in the generating thread as (stage, done, total); false stops.
  public Func<string, int, int, bool> Progress;
}

/// A bundle, loaded. One call at a time; from any thread.
public sealed class Pipeline : IDisposable {
  IntPtr handle;

  public static string Version { get { return Native.Text(Native.mrt_version()); } }

  /// onnxruntime: its library file; null: it is looked for.
  public Pipeline(string folder, int threads = 0, string onnxruntime = null) {
    using (var kept = new Kept()) {
      var options = new Native.LoadOptions {
        structSize = (UIntPtr)Marshal.SizeOf(typeof(Native.LoadOptions)),
        threads = threads,
        onnxruntime = kept.Text(onnxruntime),
        checkHashes = true
      };
      Native.Check(Native.mrt_pipeline_load(Native.Bytes(folder), ref options, out handle));
    }
  }

  Native.PipelineInfo Info() {
    var info = new Native.PipelineInfo {
      structSize = (UIntPtr)Marshal.SizeOf(typeof(Native.PipelineInfo))
    };
    Native.Check(Native.mrt_pipeline_get_info(handle, ref info));
    return info;
  }

  public string Family { get { return Native.Text(Info().family); } }
  public double Fps { get { return Info().fps; } }
  /// What the model was trained on; Kimodo makes what is longer of parts.
  public double AdvisedSeconds { get { return Info().advisedSeconds; } }
  /// It takes any prompt; else those of its book, and embeddings.
  public bool HasTextEncoder { get { return Info().hasTextEncoder; } }

  public string[] BookPrompts() {
    var prompts = new string[Info().numBookPrompts];
    for (int i = 0; i < prompts.Length; i++) prompts[i] = Native.Text(Native.mrt_pipeline_book_prompt(handle, i));
    return prompts;
  }

  /// What Options.Embedding takes instead of a prompt, later and without a text encoder.
  public float[] Embed(string prompt) {
    var embedding = new float[Math.Max(1, Info().textWidth)];
    Native.Check(Native.mrt_embed(handle, Native.Bytes(prompt), embedding, embedding.Length));
    return embedding;
  }

  public Motion Generate(string prompt, Options options = null) {
    IntPtr made = IntPtr.Zero;
    byte[] text = Native.Bytes(prompt);
    Run(options, (ref Native.GenerateOptions given) => Native.mrt_generate(handle, text, ref given, out made));
    return new Motion(made, null);
  }

  /// One motion of several prompts, one after another, each of its seconds.
  public Motion GenerateSequence(string[] prompts, double[] seconds, Options options = null) {
    if (prompts.Length != seconds.Length) throw new ArgumentException("each prompt takes its seconds");
    using (var kept = new Kept()) {
      var texts = new IntPtr[prompts.Length];
      for (int i = 0; i < texts.Length; i++) texts[i] = kept.Text(prompts[i], true);
      IntPtr made = IntPtr.Zero;
      Run(options, (ref Native.GenerateOptions given) => Native.mrt_generate_sequence(
          handle, texts, seconds, texts.Length, ref given, out made));
      return new MotionList(made).Take()[0];
    }
  }

  /// What a JSON request asks for; files that it names are looked up in folder. Of the options
  /// Progress, ContinueFrom and Embedding are used.
  public Motion[] GenerateJson(string request, string folder = null, Options options = null) {
    IntPtr made = IntPtr.Zero;
    byte[] text = Native.Bytes(request), place = Native.Bytes(folder);
    Run(options, (ref Native.GenerateOptions given) => Native.mrt_generate_json(
        handle, text, place, ref given, out made));
    return new MotionList(made).Take();
  }

  delegate Status Call(ref Native.GenerateOptions given);

  void Run(Options options, Call call) {
    if (options == null) options = new Options();
    var listener = new Native.Listener { progress = options.Progress };
    GCHandle held = GCHandle.Alloc(listener);
    var kept = new Kept();
    try {
      var given = new Native.GenerateOptions {
        structSize = (UIntPtr)Marshal.SizeOf(typeof(Native.GenerateOptions)),
        seed = options.Seed,
        seconds = options.Seconds,
        numFrames = options.NumFrames,
        numSamples = 1,
        numSteps = options.NumSteps,
        solver = kept.Text(options.Solver),
        preset = kept.Text(options.Preset),
        guidanceWeights = kept.Floats(options.GuidanceWeights),
        numGuidanceWeights = options.GuidanceWeights == null ? 0 : options.GuidanceWeights.Length,
        firstHeadingRad = options.FirstHeadingRad,
        constraintsJson = kept.Text(options.ConstraintsJson),
        postprocess = options.Postprocess == null ? -1 : options.Postprocess.Value ? 1 : 0,
        rootMargin = -1,
        temperature = -1,
        embedding = kept.Floats(options.Embedding),
        continueFrom = options.ContinueFrom == null ? IntPtr.Zero : options.ContinueFrom.handle,
        progress = options.Progress == null ? null : Native.Listen,
        progressUser = GCHandle.ToIntPtr(held)
      };
      Status status = call(ref given);
      GC.KeepAlive(options.ContinueFrom);
      if (listener.raised != null) throw listener.raised;
      Native.Check(status);
    } finally {
      kept.Dispose();
      held.Free();
    }
  }

  public void Dispose() {
    Native.mrt_pipeline_free(handle);
    handle = IntPtr.Zero;
    GC.SuppressFinalize(this);
  }

  ~Pipeline() { Native.mrt_pipeline_free(handle); }
}

/// A clip that the library holds.
public sealed class Motion : Clip {
  internal IntPtr handle;
  readonly MotionList list;

  /// list: what owns it; null: it is freed by itself.
  internal Motion(IntPtr handle, MotionList list) {
    this.handle = handle;
    this.list = list;
    var info = new Native.MotionInfo {
      structSize = (UIntPtr)Marshal.SizeOf(typeof(Native.MotionInfo))
    };
    Native.Check(Native.mrt_motion_get_info(handle, ref info));
    NumFrames = info.numFrames;
    NumJoints = info.numJoints;
    Fps = info.fps;
    Seconds = info.seconds;
    Seed = info.seed;
    Prompt = Native.Text(info.prompt);
    IntPtr skeleton = Native.mrt_motion_skeleton(handle);
    JointNames = new string[NumJoints];
    for (int joint = 0; joint < NumJoints; joint++)
      JointNames[joint] = Native.Text(Native.mrt_skeleton_joint_name(skeleton, joint));
    Parents = new int[NumJoints];
    Marshal.Copy(Native.mrt_skeleton_parents(skeleton), Parents, 0, NumJoints);
    RestOffsets = Native.Floats(Native.mrt_skeleton_rest_offsets(skeleton), 3 * NumJoints);
  }

  /// (T, 3), (T, J, 4) and (T, J, 3), copied.
  public float[] RootPositions() {
    return Native.Floats(Native.mrt_motion_root_positions(handle), 3 * NumFrames);
  }
  public float[] LocalRotations() {
    return Native.Floats(Native.mrt_motion_local_rotations(handle), 4 * NumFrames * NumJoints);
  }
  public float[] GlobalPositions() {
    return Native.Floats(Native.mrt_motion_global_positions(handle), 3 * NumFrames * NumJoints);
  }

  protected override void SamplePose(double seconds, uint flags, float[] root, float[] rotations) {
    Native.Check(Native.mrt_motion_sample(handle, seconds, flags, root, rotations));
  }

  protected override float RootWay(double from, double to, uint flags, float[] translation) {
    float turn;
    Native.Check(Native.mrt_motion_root_delta(handle, from, to, flags, translation, out turn));
    return turn;
  }

  public void Save(string path) { Native.Check(Native.mrt_motion_save(handle, Native.Bytes(path))); }

  public override void Dispose() {
    Free();
    GC.SuppressFinalize(this);
  }

  ~Motion() { Free(); }

  void Free() {
    if (handle != IntPtr.Zero && list != null) list.Release();
    else Native.mrt_motion_free(handle);
    handle = IntPtr.Zero;
  }
}

}
