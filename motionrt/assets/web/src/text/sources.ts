/** Cleaned prompts to embeddings, by a bundle's prompt book or its encoder: `motionrt/runtime/text/sources.py`. */
import type { Manifest } from "../bundle/manifest";
import { readSafetensors } from "../bundle/safetensors";
import { MotionrtError } from "../generator";
import type { Graph } from "../graphs";
import { words } from "./prompt";
import { TextTokenizer } from "./tokenizer";

const MAX_PROMPT_WORDS = 1000;
const MAX_KNOWN = 256;

export interface Texts {
  /** A row (W,) for each. */
  features: Float32Array[];
  /** Whether there is a text. */
  mask: boolean[];
}

export class TextSources {
  private readonly embeddings = new Map<string, Float32Array>();

  private constructor(
    private readonly width: number,
    private readonly clean: (prompt: string) => string,
    private readonly graph: Graph | null,
    private readonly tokenizer: TextTokenizer | null,
    private readonly book: Map<string, Float32Array> | null,
  ) {}

  /** The files that it reads, by a manifest. */
  static files({ text, graphs }: Manifest): string[] {
    const names = [graphs.text_encoder ? text.tokenizer : undefined, text.prompt_book];
    return names.filter((name) => name !== undefined);
  }

  /** Width is that of embeddings; files hold those of `files`. */
  static of(
    { text }: Manifest,
    width: number,
    clean: (prompt: string) => string,
    graph: Graph | null,
    files: Map<string, Uint8Array>,
  ): TextSources {
    const tokenizer =
      graph && text.tokenizer && text.rules
        ? new TextTokenizer(new TextDecoder().decode(files.get(text.tokenizer)), text.rules)
        : null;
    const book = text.prompt_book ? readBook(readSafetensors(files.get(text.prompt_book)!, text.prompt_book)) : null;
    return new TextSources(width, clean, graph, tokenizer, book);
  }

  /** The only prompts that there are, where no encoder takes others; undefined else. */
  get only(): string[] | undefined {
    return this.book && !(this.tokenizer && this.graph) ? [...this.book.keys()] : undefined;
  }

  /** The embeddings of prompts, which are cleaned first; zeros for a blank one. */
  async encode(prompts: readonly string[]): Promise<Texts> {
    const texts: Texts = { features: [], mask: [] };
    for (const prompt of prompts) {
      const count = words(prompt).length;
      if (count > MAX_PROMPT_WORDS) {
        throw new MotionrtError(`prompt of ${count} words: at most ${MAX_PROMPT_WORDS}; describe one short motion`);
      }
      const cleaned = this.clean(prompt);
      const embedding = cleaned ? await this.embedding(cleaned) : new Float32Array(this.width);
      if (embedding.length !== this.width) {
        throw new MotionrtError(`embeddings of texts hold ${embedding.length} numbers, not ${this.width}`);
      }
      texts.features.push(embedding);
      texts.mask.push(cleaned !== "");
    }
    return texts;
  }

  private async embedding(cleaned: string): Promise<Float32Array> {
    const known = this.embeddings.get(cleaned) ?? this.book?.get(cleaned);
    if (known) return known;
    const { tokenizer, graph } = this;
    if (!tokenizer || !graph) {
      if (this.book) throw new MotionrtError(`the prompt book does not know “${cleaned}”`);
      throw new MotionrtError("the bundle holds neither text encoder nor prompt book");
    }
    const { ids, firstPooled } = tokenizer.row(cleaned);
    const padded = ids.length ? ids : [tokenizer.rules.pad_id];
    const masks = (from: number): BigInt64Array =>
      BigInt64Array.from(padded, (_, i) => (i >= from && i < ids.length ? 1n : 0n));
    const outputs = await graph.run(
      { input_ids: BigInt64Array.from(padded, BigInt), attention_mask: masks(0), pool_mask: masks(firstPooled) },
      { batch: 1, tokens: padded.length },
    );
    const embedding = Object.values(outputs)[0] as Float32Array;
    if (this.embeddings.size >= MAX_KNOWN) this.embeddings.clear();
    this.embeddings.set(cleaned, embedding);
    return embedding;
  }
}

function readBook({ tensors, metadata }: ReturnType<typeof readSafetensors>): Map<string, Float32Array> {
  const embeddings = tensors.get("embeddings");
  if (!embeddings) throw new MotionrtError("the prompt book holds no embeddings");
  const prompts = JSON.parse(metadata.prompts ?? "[]") as string[];
  const width = embeddings.shape[1]!;
  return new Map(prompts.map((prompt, i) => [prompt, (embeddings.data as Float32Array).slice(i * width, (i + 1) * width)]));
}
