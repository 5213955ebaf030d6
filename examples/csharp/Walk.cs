// Walk.exe BUNDLE FILE.bvh: a prompt, its poses over time, a file.
using System;

static class Walk {
  static int Main(string[] arguments) {
    if (arguments.Length != 2) {
      Console.Error.WriteLine("usage: Walk.exe BUNDLE FILE.bvh|FILE.glb");
      return 2;
    }
    try {
      int told = 0;
      var options = new Motionrt.Options {
        Seed = 1, Seconds = 3, Preset = "fast",
        Progress = (stage, done, total) => { told++; return true; }
      };
      using (var pipeline = new Motionrt.Pipeline(arguments[0]))
      using (var motion = pipeline.Generate("a person walks forward", options)) {
        var root = new float[3];
        var rotations = new float[4 * motion.NumJoints];
        for (double seconds = 0; seconds < motion.Seconds; seconds += 1) {
          motion.Sample(seconds, 0, root, rotations);
          Console.WriteLine(string.Format(System.Globalization.CultureInfo.InvariantCulture,
              "{0:0} s: hips at {1:0.00} {2:0.00} {3:0.00}", seconds, root[0], root[1], root[2]));
        }
        motion.Save(arguments[1]);
        Console.WriteLine("{0}: {1} frames of {2} joints, {3} reports of progress", arguments[1],
                          motion.NumFrames, motion.NumJoints, told);
      }
      return 0;
    } catch (Motionrt.MotionrtException error) {
      Console.Error.WriteLine("{0}: {1}", error.Status, error.Message);
      return 1;
    }
  }
}
