// The part of Unity.InferenceEngine that the package uses. A Worker here hands its tensors to whom is
// at the other end of standard input and output, which runs the graph with onnxruntime.
//
// A message is: the name of the graph, how many inputs, and of each its name, whether it holds integers,
// its axes and its numbers, 4 bytes each; then how many outputs and their names. Back come the outputs,
// each its axes and numbers. As in the engine all numbers are float or int, and outputs are asked for
// after the run: they are sent for together, when the first is.
using System;
using System.Collections.Generic;
using System.IO;
using UnityEngine;

namespace UnityEngine {

public sealed class TextAsset : Object {
  public string text;
}

}

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
  static readonly BinaryWriter to = new BinaryWriter(Console.OpenStandardOutput());
  static readonly BinaryReader from = new BinaryReader(Console.OpenStandardInput());
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
    var axes = new int[from.ReadInt32()];
    int size = 1;
    for (int i = 0; i < axes.Length; i++) size *= axes[i] = from.ReadInt32();
    var numbers = new float[size];
    for (int i = 0; i < size; i++) numbers[i] = from.ReadSingle();
    var result = new Tensor<float>(new TensorShape(axes), numbers);
    result.Dispose(); // the worker's own
    return result;
  }

  public void Dispose() { undisposed--; }
}

}
