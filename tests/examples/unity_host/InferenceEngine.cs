// The part of Unity.InferenceEngine that the package uses. A Worker here hands its tensors to whom is
// at the other end of standard input and output, which runs the graph with onnxruntime.
//
// A message is: the name of the graph, how many inputs, and of each its name, whether it holds integers,
// its axes and its numbers, 4 bytes each. Outputs are asked for by name after the run, as in the engine;
// back come whether it holds integers, its axes and its numbers. As there all numbers are float or int.
using System;
using System.Collections.Generic;
using System.IO;

namespace Unity.InferenceEngine {

public enum BackendType { GPUCompute, CPU, GPUPixel }

public sealed class ModelAsset : UnityEngine.Object {
  public string graph;
}

public sealed class Model {
  internal string graph;
}

public static class ModelLoader {
  public static Model Load(ModelAsset asset) { return new Model { graph = asset.graph }; }
}

public struct TensorShape {
  readonly int[] axes;
  public TensorShape(int[] axes) { this.axes = axes; }
  public int[] ToArray() { return (int[])axes.Clone(); }
}

public abstract class Tensor : IDisposable {
  public static int undisposed;
  public TensorShape shape { get; protected set; }
  internal bool disposed;
  protected Tensor() { undisposed++; }
  public void Dispose() {
    if (!disposed) undisposed--;
    disposed = true;
  }
}

public sealed class Tensor<T> : Tensor {
  internal readonly T[] data;
  public Tensor(TensorShape shape, T[] data) {
    this.shape = shape;
    this.data = data;
    int size = 1;
    foreach (int axis in shape.ToArray()) size *= axis;
    if (size != data.Length) throw new ArgumentException("shape and data differ");
  }
  public T[] DownloadToArray() { return (T[])data.Clone(); }
}

public sealed class Worker : IDisposable {
  public static int undisposed;
  static readonly BinaryWriter to = new BinaryWriter(new BufferedStream(Console.OpenStandardOutput(), 1 << 16));
  static readonly BinaryReader from = new BinaryReader(new BufferedStream(Console.OpenStandardInput(), 1 << 16));
  readonly string graph;
  readonly Dictionary<string, Tensor> inputs = new Dictionary<string, Tensor>();
  bool scheduled;

  public Worker(Model model, BackendType backend) {
    graph = model.graph;
    undisposed++;
  }

  public void SetInput(string name, Tensor tensor) { inputs[name] = tensor; }

  public void Schedule() {
    to.Write(graph);
    to.Write(inputs.Count);
    foreach (var input in inputs) {
      if (input.Value.disposed) throw new ObjectDisposedException(input.Key);
      var ints = input.Value as Tensor<int>;
      to.Write(input.Key);
      to.Write(ints != null);
      int[] axes = input.Value.shape.ToArray();
      to.Write(axes.Length);
      foreach (int axis in axes) to.Write(axis);
      if (ints != null) foreach (int number in ints.data) to.Write(number);
      else foreach (float number in ((Tensor<float>)input.Value).data) to.Write(number);
    }
    to.Flush();
    scheduled = true;
  }

  public Tensor PeekOutput(string name) {
    if (!scheduled) throw new InvalidOperationException("nothing was scheduled");
    to.Write(name);
    to.Flush();
    bool whole = from.ReadBoolean();
    var axes = new int[from.ReadInt32()];
    int size = 1;
    for (int i = 0; i < axes.Length; i++) size *= axes[i] = from.ReadInt32();
    var ints = new int[whole ? size : 0];
    for (int i = 0; i < ints.Length; i++) ints[i] = from.ReadInt32();
    var floats = new float[whole ? 0 : size];
    for (int i = 0; i < floats.Length; i++) floats[i] = from.ReadSingle();
    var shape = new TensorShape(axes);
    Tensor result = whole ? (Tensor)new Tensor<int>(shape, ints) : new Tensor<float>(shape, floats);
    result.Dispose(); // the worker's own
    return result;
  }

  public void Dispose() { undisposed--; }
}

}
