/** Does a model know what a prompt asks for? `motionrt/runtime/text/familiarity.py`. */
import type { Tensor } from "../bundle/safetensors";
import { MotionrtError } from "../generator";

const ENDINGS = ["ing", "ed", "es", "s"];

/** The words of a prompt without their usual English endings: walks, walking give walk. */
export function stems(prompt: string): string[] {
  return (prompt.toLowerCase().match(/[\p{L}\p{M}]+|\p{Nd}+/gu) ?? []).map((found) => {
    if (/^\p{Nd}+$/u.test(found)) return "#";
    let word = found;
    for (const ending of ENDINGS) {
      if (!word.endsWith(ending) || word.length < ending.length + 3) continue;
      word = word.slice(0, -ending.length);
      if (word.length > 3 && word.at(-1) === word.at(-2)) word = word.slice(0, -1);
      break;
    }
    return word.length > 3 && word.endsWith("e") ? word.slice(0, -1) : word;
  });
}

interface Judge {
  words: Map<string, number>;
  hidden: Float32Array;
  hiddenBias: Float32Array;
  output: Float32Array;
  bias: number;
}

/** What a model knows, and how far a prompt is from it. */
export class KnownPrompts {
  private readonly centres: Float32Array;
  private readonly judge: Judge | null;

  constructor(
    tensors: Map<string, Tensor>,
    private readonly radius: number,
    private readonly actions: string[],
  ) {
    const floats = (name: string): Float32Array => {
      const data = tensors.get(name)?.data;
      if (!(data instanceof Float32Array)) throw new MotionrtError(`known prompts: hold no ${name}`);
      return data;
    };
    this.centres = floats("centres");
    this.judge = null;
    const spelled = tensors.get("judge.words")?.data;
    if (!(spelled instanceof Uint8Array)) return;
    const weights = floats("judge.word_weights");
    const words = new TextDecoder().decode(spelled).split("\n");
    this.judge = {
      words: new Map(words.map((word, i) => [word, weights[i]!])),
      hidden: floats("judge.hidden"),
      hiddenBias: floats("judge.hidden_bias"),
      output: floats("judge.output"),
      bias: floats("judge.bias")[0]!,
    };
  }

  /** One line for a prompt that the model hardly knows; null if it does know it. */
  hint(vector: Float32Array, prompt: string): string | null {
    const known = this.judge ? this.can(this.judge, vector, prompt) >= 0 : this.distance(vector) <= this.radius;
    if (known) return null;
    const told = this.actions.length > 1 ? `${this.actions.slice(0, -1).join(", ")} and ${this.actions.at(-1)}` : this.actions[0];
    return `this model hardly knows what “${prompt}” asks for; it knows ${told}`;
  }

  /** The log odds that the model can. */
  private can(judge: Judge, vector: Float32Array, prompt: string): number {
    const found = stems(prompt);
    const unknown = found.filter((word) => !judge.words.has(word)).length;
    const inputs = [...vector, unknown / Math.max(1, found.length), Math.min(unknown, 4)];
    let odds = judge.bias;
    judge.hiddenBias.forEach((bias, row) => {
      const sum = inputs.reduce((total, value, i) => total + value * judge.hidden[row * inputs.length + i]!, bias);
      odds += judge.output[row]! * Math.max(sum, 0);
    });
    for (const word of new Set(found)) odds += judge.words.get(word) ?? 0;
    return odds;
  }

  private distance(vector: Float32Array): number {
    let nearest = Infinity;
    for (let start = 0; start < this.centres.length; start += vector.length) {
      nearest = Math.min(nearest, Math.hypot(...vector.map((value, i) => value - this.centres[start + i]!)));
    }
    return nearest;
  }
}
