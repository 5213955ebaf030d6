// MotionrtPlayer without the native library: Unity's Inference Engine runs the graphs of a bundle
// that was lowered for it (`motionrt lower --target unity -o Assets/Motionrt`), one graph a frame,
// so that no frame waits for more than one denoising step.
//
// It needs the package com.unity.ai.inference 2.2 or newer. Not run in Unity yet.
using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Unity.InferenceEngine;
using UnityEngine;

namespace Motionrt {

/// The graphs of a lowered bundle as models of the Inference Engine.
public sealed class InferenceGraphs : IGraphs, IDisposable {
  readonly Dictionary<string, Worker> workers = new Dictionary<string, Worker>();

  /// backend: CPU or GPUCompute; GPUPixel does not know NaN from a number.
  public InferenceGraphs(ModelAsset step, ModelAsset decoder, ModelAsset textEncoder, BackendType backend) {
    workers["step"] = new Worker(ModelLoader.Load(step), backend);
    workers["decoder"] = new Worker(ModelLoader.Load(decoder), backend);
    if (textEncoder != null) workers["text_encoder"] = new Worker(ModelLoader.Load(textEncoder), backend);
  }

  public HostTensor[] Run(string graph, Dictionary<string, HostTensor> inputs, params string[] outputs) {
    Worker worker;
    if (!workers.TryGetValue(graph, out worker)) throw new ArgumentException("no model is set for " + graph);
    var given = new List<Tensor>();
    try {
      foreach (var input in inputs) {
        var shape = new TensorShape(input.Value.Shape);
        Tensor tensor = input.Value.Floats != null ? (Tensor)new Tensor<float>(shape, input.Value.Floats)
                                                   : new Tensor<int>(shape, input.Value.Ints);
        given.Add(tensor);
        worker.SetInput(input.Key, tensor);
      }
      worker.Schedule();
      var results = new HostTensor[outputs.Length];
      for (int i = 0; i < outputs.Length; i++) {
        Tensor found = worker.PeekOutput(outputs[i]);
        int[] shape = found.shape.ToArray();
        var ints = found as Tensor<int>; // booleans are integers here
        results[i] = ints != null ? new HostTensor(ints.DownloadToArray(), shape)
                                  : new HostTensor(((Tensor<float>)found).DownloadToArray(), shape);
      }
      return results;
    } finally {
      foreach (Tensor tensor in given) tensor.Dispose();
    }
  }

  public void Dispose() {
    foreach (Worker worker in workers.Values) worker.Dispose();
    workers.Clear();
  }
}

public class InferencePlayer : MotionrtPlayer {
  [Tooltip("manifest.json, tokenizer.json and statistics.bytes of the lowered bundle; the last is for constraints.")]
  public TextAsset manifest, tokenizer, statistics;
  [Tooltip("step.onnx, decoder.onnx and text_encoder.onnx of the lowered bundle.")]
  public ModelAsset step, decoder, textEncoder;
  public BackendType backend = BackendType.CPU;

  InferenceGraphs graphs;
  KimodoHost host;
  KimodoHost.Generation generation;
  TaskCompletionSource<Clip> coming;

  protected override Task<Clip> Generate(string text, Options options) {
    coming = new TaskCompletionSource<Clip>();
    try {
      if (host == null) {
        graphs = new InferenceGraphs(step, decoder, textEncoder, backend);
        host = new KimodoHost(manifest.text, tokenizer == null ? null : tokenizer.text, graphs,
                              statistics == null ? null : statistics.bytes);
      }
      generation = host.Begin(text, options);
    } catch (Exception error) {
      generation = null;
      coming.SetException(error);
    }
    return coming.Task;
  }

  protected override void Advance() {
    if (generation == null) return;
    try {
      if (!generation.Step()) return;
      coming.SetResult(generation.Result);
    } catch (Exception error) {
      coming.SetException(error);
    }
    generation = null;
  }

  /// The frame loop alone makes it, so nothing has to be waited for.
  protected override void Abandon() {
    generation = null;
    coming.TrySetCanceled();
  }

  protected override void Release() {
    if (graphs != null) graphs.Dispose();
    base.Release();
  }
}

}
