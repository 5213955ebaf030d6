// Check.exe BUNDLE: what the wrapper offers beside Generate, a line each.
using System;
using System.Linq;
using Motionrt;

static class Check {
  static void Main(string[] arguments) {
    using (var pipeline = new Pipeline(arguments[0])) {
      Console.WriteLine("{0} {1} {2} {3} {4}", pipeline.Family, pipeline.Fps, pipeline.AdvisedSeconds,
                        pipeline.HasTextEncoder, pipeline.BookPrompts().Length);
      var options = new Options { Seed = 1, NumSteps = 2, NumFrames = 20 };
      Motion alone = pipeline.Generate("a person walks", options);
      options.Embedding = pipeline.Embed("a person walks");
      Motion embedded = pipeline.Generate("", options);
      Console.WriteLine("embedding {0}", Same(alone, embedded));
      options.Embedding = null;

      using (Motion both = pipeline.GenerateSequence(new[] { "a person walks", "" }, new[] { 1.0, 0.5 }, options))
        Console.WriteLine("sequence {0} \"{1}\"", both.NumFrames, both.Prompt);

      string request = "{\"prompts\": [\"a person walks\"], \"multi_prompt\": false, \"num_frames\": 20, \"num_steps\": 2, \"seed\": 1, "
          + "\"num_samples\": 2, \"sample_seeds\": true}";
      int told = 0;
      Motion[] asked = pipeline.GenerateJson(request, null, new Options { Progress = (stage, done, total) => ++told > 0 });
      asked[1].Dispose();
      GC.Collect();
      Console.WriteLine("request {0} {1} {2}", asked.Length, Same(alone, asked[0]), told > 0);
      asked[0].Dispose();
      asked[0].Dispose();

      options.ContinueFrom = alone;
      Console.WriteLine("continued {0}", pipeline.Generate("a person jumps", options).NumFrames);
      options.ContinueFrom = null;

      options.Postprocess = false;
      Console.WriteLine("postprocessed {0}", !Same(alone, pipeline.Generate("a person walks", options)));

      int steps = 0;
      options.Progress = (stage, done, total) => stage != "denoising" || ++steps < 2;
      Fails(() => pipeline.Generate("a person walks", options));
      options.Progress = (stage, done, total) => { throw new InvalidOperationException("of the listener"); };
      Fails(() => pipeline.Generate("a person walks", options));
      options.Progress = null;
      options.Solver = "euler";
      Fails(() => pipeline.Generate("a person walks", options));
      Fails(() => pipeline.GenerateSequence(new[] { "a" }, new double[0]));
      Fails(() => new Pipeline("nowhere"));
    }
  }

  static bool Same(Motion a, Motion b) {
    return a.GlobalPositions().SequenceEqual(b.GlobalPositions());
  }

  static void Fails(Action what) {
    try {
      what();
      Console.WriteLine("nothing failed");
    } catch (MotionrtException error) {
      Console.WriteLine("{0}: {1}", error.Status, error.Message);
    } catch (Exception error) {
      Console.WriteLine("{0}: {1}", error.GetType().Name, error.Message);
    }
  }
}
