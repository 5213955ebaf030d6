/** A prompt before it meets a tokenizer: `motionrt/runtime/text/prompt.py`. */
import { MotionrtError } from "../generator";

/** What Python's str.split and str.strip take for blanks. */
const BLANK = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const BLANKS = new RegExp(`[${BLANK}]+`, "gu");
const ENDS = new RegExp(`^[${BLANK}]+|[${BLANK}]+$`, "gu");
const LETTER_OR_DIGIT = /^[\p{L}\p{N}]$/u;
const CLOSING_MARKS = ".!?\"])'";
const SENTENCE_MARKS = ".!?";

export const strip = (text: string): string => text.replace(ENDS, "");

/** The words between blanks, as Python's str.split gives them. */
export const words = (text: string): string[] => strip(text).split(BLANKS).filter((word) => word !== "");

/**
 * Bring a prompt into the form that Kimodo was trained on; a blank one becomes empty.
 *
 * Blanks collapse; what leads before the first letter or digit goes, likewise most punctuation at
 * the end; it is capitalised, ends in a sentence mark, and a capital follows every such mark.
 */
export function cleanPrompt(prompt: string): string {
  let text = words(prompt).join(" ");
  if (!text) return "";
  const all = [...text];
  const first = all.findIndex((char) => LETTER_OR_DIGIT.test(char));
  let chars = [...capitalize(all.slice(first < 0 ? all.length - 1 : first).join(""))];
  let end = chars.length;
  while (end > 0 && !LETTER_OR_DIGIT.test(chars[end - 1]!) && !CLOSING_MARKS.includes(chars[end - 1]!)) end--;
  chars = chars.slice(0, end || 1);
  text = chars.join("");
  if (!SENTENCE_MARKS.includes(chars[chars.length - 1]!)) text += ".";
  for (const mark of SENTENCE_MARKS) {
    const pieces = text.split(mark).map((piece) => {
      const [head = "", ...tail] = [...strip(piece)];
      return head.toUpperCase() + tail.join("");
    });
    text = strip(pieces.join(`${mark} `));
  }
  return text;
}

/** Split a prompt at every period into sentences, with the seconds of each. */
export function splitPrompt<T>(prompt: string, perSentence: T | T[], name: string): { prompts: string[]; each: T[] } {
  const sentences = prompt.split(".").map(strip).filter((sentence) => sentence !== "");
  const prompts = sentences.length ? sentences.map((sentence) => `${sentence}.`) : [""];
  let each = Array.isArray(perSentence) ? perSentence : [perSentence];
  if (each.length === 1) each = prompts.map(() => each[0]!);
  if (each.length !== prompts.length) {
    throw new MotionrtError(`${each.length} ${name} for ${prompts.length} sentences; give one, or one for each`);
  }
  return { prompts, each };
}

function capitalize(text: string): string {
  const [head = ""] = [...text];
  const [title = "", ...more] = [...head.toUpperCase()];
  return title + more.join("").toLowerCase() + text.toLowerCase().slice(head.toLowerCase().length);
}
