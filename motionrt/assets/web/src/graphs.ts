/** Runs a bundle's graphs with onnxruntime-web, which whoever imports this chooses. */
import type { InferenceSession, Tensor } from "onnxruntime-common";
import type { GraphInfo, TensorInfo } from "./bundle/manifest";
import { MotionrtError } from "./generator";

/** What of onnxruntime-web is used. */
export interface Onnxruntime {
  InferenceSession: {
    create(model: Uint8Array, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  Tensor: new (type: Tensor.Type, data: Tensor.DataType, dims: number[]) => Tensor;
}

export type Values = Float32Array | BigInt64Array | Uint8Array;

/** One after another: a prompt may be encoded while a window is being made, and one thread runs both. */
let last: Promise<unknown> = Promise.resolve();

/** One graph, loaded. */
export class Graph {
  private constructor(
    private readonly ort: Onnxruntime,
    private readonly session: InferenceSession,
    private readonly info: GraphInfo,
    private readonly name: string,
  ) {}

  static async load(
    ort: Onnxruntime,
    name: string,
    info: GraphInfo,
    files: Map<string, Uint8Array>,
    provider: "wasm" | "webgpu",
  ): Promise<Graph> {
    const file = info.files.onnx;
    const model = file === undefined ? undefined : files.get(file);
    if (!model) throw new MotionrtError(`graph ${name}: the bundle holds no ONNX file of it`);
    const session = await ort.InferenceSession.create(model, {
      executionProviders: [provider],
      externalData: (info.data ?? []).map((path) => ({ path, data: files.get(path)! })),
      // Warnings of the graph optimiser are no news to who looks at a page's console.
      logSeverityLevel: 3,
    });
    return new Graph(ort, session, info, name);
  }

  /** Run it; dims are by axis name, whole numbers stand in the manifest. */
  async run(inputs: Record<string, Values>, dims: Record<string, number>): Promise<Record<string, Values>> {
    const feeds: Record<string, Tensor> = {};
    for (const info of this.info.inputs) {
      const data = inputs[info.name];
      if (data === undefined) throw new MotionrtError(`graph ${this.name}: nobody gives its input ${info.name}`);
      const shape = info.axes.map((axis) => (typeof axis === "number" ? axis : (dims[axis] ?? 1)));
      feeds[info.name] = new this.ort.Tensor(kindOf(info), data, shape);
    }
    const running = last.then(() => this.session.run(feeds));
    last = running.catch(() => undefined);
    const results = await running;
    const outputs: Record<string, Values> = {};
    for (const info of this.info.outputs) outputs[info.name] = (await results[info.name]!.getData()) as Values;
    for (const tensor of Object.values(results)) tensor.dispose();
    return outputs;
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

function kindOf({ dtype, name }: TensorInfo): Tensor.Type {
  if (dtype === "float16") throw new MotionrtError(`tensor ${name} is float16; write the page again with motionrt web`);
  return dtype;
}
