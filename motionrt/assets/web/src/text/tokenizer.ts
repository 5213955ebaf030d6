/**
 * Text to token ids by a tokenizer.json and a bundle's rules: `motionrt/runtime/text/tokenizer.py`.
 *
 * Of the tokenizers package: byte-level BPE (GPT-2, Qwen) and WordPiece (BERT), with what stands
 * around them in the files of encoders that fit a page. Others are refused by name.
 */
import { MotionrtError } from "../generator";
import { words } from "./prompt";

/** How a text becomes one row of ids, and which of its tokens are pooled. */
export interface TextRules {
  prefix: string;
  suffix: string;
  trim_end: boolean;
  special_tokens: boolean;
  max_tokens: number;
  text_tokens: number | null;
  separator: string | null;
  pool: string;
  pool_skip: number;
  repeat: boolean;
  pad_id: number;
}

export interface Row {
  ids: number[];
  /** The first token that is pooled. */
  firstPooled: number;
}

const BLANK = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const GPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${BLANK}\\p{L}\\p{N}]+|[${BLANK}]+(?![^${BLANK}])|[${BLANK}]+`;

/* eslint-disable @typescript-eslint/no-explicit-any */
type Json = any;

interface Pieces {
  /** Cuts a text into words, as the model's vocabulary spells them. */
  cut: (text: string) => string[];
  /** The ids of one word. */
  ids: (word: string) => number[];
}

/** A tokenizer file with the rules that go with it. */
export class TextTokenizer {
  private readonly normalize: (text: string) => string;
  private readonly pieces: Pieces;
  private readonly added: Map<string, number>;
  private readonly addedPattern: RegExp | null;
  private readonly before: number[];
  private readonly after: number[];

  constructor(file: string, readonly rules: TextRules) {
    const json: Json = JSON.parse(file);
    this.normalize = normalizer(json.normalizer);
    this.pieces = pieces(json);
    const tokens: Json[] = json.added_tokens ?? [];
    this.added = new Map(tokens.map((token) => [token.content, token.id]));
    const texts = [...this.added.keys()].sort((a, b) => b.length - a.length).map(escaped);
    this.addedPattern = texts.length ? new RegExp(`(${texts.join("|")})`, "u") : null;
    [this.before, this.after] = template(json.post_processor, this.added);
  }

  /** The ids of a text alone: none of the rules, no tokens that it does not hold. */
  ids(text: string): number[] {
    const found: number[] = [];
    const parts = this.addedPattern ? text.split(this.addedPattern) : [text];
    for (const part of parts) {
      const id = this.added.get(part);
      if (id !== undefined) found.push(id);
      else for (const word of this.pieces.cut(this.normalize(part))) found.push(...this.pieces.ids(word));
    }
    return found;
  }

  /** The ids of a text by the rules. */
  row(prompt: string): Row {
    const { rules } = this;
    let text = prompt;
    if (rules.text_tokens !== null) text = this.shortened(text, rules.text_tokens);
    if (rules.trim_end) text = text.trimEnd();
    let counted = text + rules.suffix;
    if (rules.separator && text.includes(rules.separator)) {
      counted = text.split(rules.separator)[0]!;
      text = text.replaceAll(rules.separator, "");
    }
    if (rules.repeat) text = `${text} ${text}`;
    const ids = this.cutTo(this.ids(rules.prefix + text + rules.suffix), rules.special_tokens);
    let firstPooled = 0;
    if (rules.pool === "text") {
      const numPooled = Math.min(this.cutTo(this.ids(counted), false).length, ids.length);
      // Nothing to pool means everything: what the reference's slice [-0:] takes.
      firstPooled = numPooled ? ids.length - numPooled : 0;
    }
    if (ids.length - firstPooled > rules.pool_skip) firstPooled += rules.pool_skip;
    return { ids, firstPooled };
  }

  private cutTo(ids: number[], special: boolean): number[] {
    if (!special) return ids.slice(0, this.rules.max_tokens);
    const room = this.rules.max_tokens - this.before.length - this.after.length;
    return [...this.before, ...ids.slice(0, Math.max(0, room)), ...this.after];
  }

  private shortened(text: string, maxTokens: number): string {
    let short = text;
    for (;;) {
      const count = this.cutTo(this.ids(short), false).length;
      if (count <= maxTokens) return short;
      const all = words(short);
      short = all.slice(0, Math.floor(all.length * (maxTokens / count))).join(" ");
    }
  }
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

function unknown(what: string, kind: unknown): MotionrtError {
  return new MotionrtError(`tokenizer.json: ${what} ${String(kind)} is not known here; use another text encoder`);
}

function normalizer(spec: Json): (text: string) => string {
  if (!spec) return (text) => text;
  switch (spec.type) {
    case "Sequence": {
      const steps = (spec.normalizers as Json[]).map(normalizer);
      return (text) => steps.reduce((value, step) => step(value), text);
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return (text) => text.normalize(spec.type);
    case "Lowercase":
      return (text) => text.toLowerCase();
    case "BertNormalizer":
      return (text) => bertNormalized(text, spec);
    default:
      throw unknown("normalizer", spec.type);
  }
}

function bertNormalized(text: string, spec: Json): string {
  let result = text;
  if (spec.clean_text) {
    result = [...result]
      .filter((char) => !/^[\0\ufffd]$/u.test(char) && (/^[\t\n\r]$/.test(char) || !/^[\p{Cc}\p{Cf}\p{Cn}\p{Co}]$/u.test(char)))
      .map((char) => (new RegExp(`^[${BLANK}]$`, "u").test(char) ? " " : char))
      .join("");
  }
  if (spec.handle_chinese_chars) {
    const ideographs = /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;
    result = result.replace(ideographs, " $& ");
  }
  if (spec.strip_accents ?? spec.lowercase) result = result.normalize("NFD").replace(/\p{Mn}/gu, "");
  return spec.lowercase ? result.toLowerCase() : result;
}

function pieces(json: Json): Pieces {
  const { model } = json;
  if (model.type === "BPE") return bytePairs(model, json.pre_tokenizer);
  if (model.type === "WordPiece") {
    if (json.pre_tokenizer?.type !== "BertPreTokenizer") throw unknown("pre-tokenizer", json.pre_tokenizer?.type);
    return wordPieces(model);
  }
  throw unknown("model", model.type);
}

// Byte-level BPE

function bytePairs(model: Json, preTokenizer: Json): Pieces {
  for (const option of ["unk_token", "continuing_subword_prefix", "end_of_word_suffix", "dropout"]) {
    if (model[option]) throw unknown("option", option);
  }
  const vocabulary = new Map<string, number>(Object.entries(model.vocab));
  const ranks = new Map<string, number>();
  (model.merges as Json[]).forEach((pair, rank) => {
    ranks.set(typeof pair === "string" ? pair : `${pair[0]} ${pair[1]}`, rank);
  });
  const steps = preTokenizer?.type === "Sequence" ? preTokenizer.pretokenizers : [preTokenizer];
  const patterns: RegExp[] = [];
  let byteLevel = false;
  for (const step of steps as Json[]) {
    if (step?.type === "ByteLevel") {
      byteLevel = true;
      if (step.add_prefix_space) throw unknown("option", "add_prefix_space");
      if (step.use_regex ?? true) patterns.push(new RegExp(GPT2, "gu"));
    } else if (step?.type === "Split" && step.behavior === "Isolated" && !step.invert && step.pattern.Regex) {
      patterns.push(new RegExp(translated(step.pattern.Regex), "gu"));
    } else {
      throw unknown("pre-tokenizer", step?.type);
    }
  }
  if (!byteLevel) throw unknown("pre-tokenizer without", "ByteLevel");
  const known = new Map<string, number[]>();
  return {
    cut: (text) =>
      patterns
        .reduce((parts, pattern) => parts.flatMap((part) => isolated(part, pattern)), [text])
        .map(asBytes),
    ids(word) {
      let ids = known.get(word);
      if (!ids) {
        ids = merged(word, vocabulary, ranks, Boolean(model.ignore_merges));
        known.set(word, ids);
      }
      return ids;
    },
  };
}

/** A pattern of the Rust package in JavaScript's words. */
function translated(pattern: string): string {
  return pattern
    .replace(/\(\?i:([^()]*)\)/g, (_, inside: string) =>
      `(?:${inside.replace(/\p{L}/gu, (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`)})`,
    )
    .replace(/\[\^((?:[^\]\\]|\\.)*)\]|\[((?:[^\]\\]|\\.)*)\]|\\s|\\S/g, (found, not?: string, any?: string) => {
      if (found === "\\s") return `[${BLANK}]`;
      if (found === "\\S") return `[^${BLANK}]`;
      const inside = (not ?? any ?? "").replaceAll("\\s", BLANK);
      return not !== undefined ? `[^${inside}]` : `[${inside}]`;
    });
}

/** The matches of a pattern, and what lies between them. */
function isolated(text: string, pattern: RegExp): string[] {
  const parts: string[] = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > end) parts.push(text.slice(end, match.index));
    if (match[0]) parts.push(match[0]);
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push(text.slice(end));
  return parts;
}

/** GPT-2's letters for the 256 bytes: visible ones for themselves, others from 256 on. */
const LETTERS: string[] = (() => {
  const letters: string[] = [];
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const visible = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    letters.push(String.fromCharCode(visible ? byte : next++));
  }
  return letters;
})();

function asBytes(text: string): string {
  let result = "";
  for (const byte of new TextEncoder().encode(text)) result += LETTERS[byte]!;
  return result;
}

function merged(word: string, vocabulary: Map<string, number>, ranks: Map<string, number>, whole: boolean): number[] {
  const found = vocabulary.get(word);
  if (whole && found !== undefined) return [found];
  const parts = [...word];
  for (;;) {
    let best = -1;
    let lowest = Infinity;
    for (let i = 0; i + 1 < parts.length; i++) {
      const rank = ranks.get(`${parts[i]!} ${parts[i + 1]!}`) ?? Infinity;
      if (rank < lowest) [best, lowest] = [i, rank];
    }
    if (best < 0) break;
    parts.splice(best, 2, parts[best]! + parts[best + 1]!);
  }
  // A byte that the vocabulary does not have is left out, as the package does.
  return parts.map((part) => vocabulary.get(part)).filter((id) => id !== undefined);
}

// WordPiece

const BERT_PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/u;

function wordPieces(model: Json): Pieces {
  const vocabulary = new Map<string, number>(Object.entries(model.vocab));
  const unknownId = vocabulary.get(model.unk_token);
  const prefix: string = model.continuing_subword_prefix ?? "##";
  const longest: number = model.max_input_chars_per_word ?? 100;
  return {
    cut: (text) =>
      text
        .split(new RegExp(`[${BLANK}]+`, "u"))
        .flatMap((word) => word.split(new RegExp(`(${BERT_PUNCTUATION.source})`, "u")))
        .filter((word) => word !== ""),
    ids(word) {
      const chars = [...word];
      const refused = unknownId === undefined ? [] : [unknownId];
      if (chars.length > longest) return refused;
      const ids: number[] = [];
      let start = 0;
      while (start < chars.length) {
        let end = chars.length;
        let id: number | undefined;
        for (; end > start; end--) {
          id = vocabulary.get((start ? prefix : "") + chars.slice(start, end).join(""));
          if (id !== undefined) break;
        }
        if (id === undefined) return refused;
        ids.push(id);
        start = end;
      }
      return ids;
    },
  };
}

/** The special tokens before and after a text. */
function template(spec: Json, added: Map<string, number>): [number[], number[]] {
  if (!spec || spec.type === "ByteLevel") return [[], []];
  if (spec.type === "Sequence") {
    const parts = (spec.processors as Json[]).map((part) => template(part, added));
    return [parts.flatMap((part) => part[0]), parts.flatMap((part) => part[1])];
  }
  if (spec.type === "BertProcessing") return [[spec.cls[1]], [spec.sep[1]]];
  if (spec.type !== "TemplateProcessing") throw unknown("post-processor", spec.type);
  const sides: [number[], number[]] = [[], []];
  let side: 0 | 1 = 0;
  for (const piece of spec.single as Json[]) {
    if (piece.Sequence) side = 1;
    else sides[side].push(...spec.special_tokens[piece.SpecialToken.id].ids);
  }
  return sides;
}
