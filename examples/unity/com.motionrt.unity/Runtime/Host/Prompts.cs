// A prompt as the model was trained on it, and its tokens: byte-level BPE, as the default's.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Motionrt {

public static class Prompts {
  const string SentenceMarks = ".!?", ClosingMarks = ".!?\"])'";

  /// As motionrt.runtime.text.prompt.clean_prompt: blanks collapse, a capital, a mark at the end.
  public static string Clean(string text) {
    text = string.Join(" ", text.Split((char[])null, StringSplitOptions.RemoveEmptyEntries));
    if (text.Length == 0) return "";
    int first = 0;
    while (first < text.Length && !IsAlnum(text, first)) first++;
    if (first == text.Length) first = text.Length - 1;
    text = text.Substring(first);
    text = Upper(text, text.Substring(1).ToLowerInvariant());
    int end = text.Length;
    while (end > 0 && !(IsAlnum(text, end - 1) || ClosingMarks.IndexOf(text[end - 1]) >= 0)) end--;
    text = text.Substring(0, end > 0 ? end : 1);
    if (SentenceMarks.IndexOf(text[text.Length - 1]) < 0) text += ".";
    foreach (char mark in SentenceMarks) {
      string[] pieces = text.Split(mark);
      for (int i = 0; i < pieces.Length; i++) {
        pieces[i] = pieces[i].Trim();
        if (pieces[i].Length > 0) pieces[i] = Upper(pieces[i], pieces[i].Substring(1));
      }
      text = string.Join(mark + " ", pieces).Trim();
    }
    return text;
  }

  /// Letters that are several as capitals.
  const string Ligatures = "ßﬀﬁﬂﬃﬄﬅﬆ";
  static readonly string[] Capitals = { "Ss", "Ff", "Fi", "Fl", "Ffi", "Ffl", "St", "St" };

  static string Upper(string text, string rest) {
    int ligature = Ligatures.IndexOf(text[0]);
    return (ligature >= 0 ? Capitals[ligature] : char.ToUpperInvariant(text[0]).ToString()) + rest;
  }

  /// A letter or a number of any script, of text that may hold surrogate pairs.
  static bool IsAlnum(string text, int at) {
    if (char.IsLowSurrogate(text[at]) && at > 0) at--;
    return Is(CharUnicodeInfo.GetUnicodeCategory(text, at), true, true);
  }

  internal static bool Is(UnicodeCategory category, bool letter, bool number) {
    switch (category) {
      case UnicodeCategory.UppercaseLetter:
      case UnicodeCategory.LowercaseLetter:
      case UnicodeCategory.TitlecaseLetter:
      case UnicodeCategory.ModifierLetter:
      case UnicodeCategory.OtherLetter:
        return letter;
      case UnicodeCategory.DecimalDigitNumber:
      case UnicodeCategory.LetterNumber:
      case UnicodeCategory.OtherNumber:
        return number;
      default:
        return false;
    }
  }
}

/// A tokenizer.json of byte-level BPE that cuts words as GPT-2's does, without a normalizer.
public sealed class Tokenizer {
  readonly Dictionary<string, int> ids = new Dictionary<string, int>();
  readonly Dictionary<string, int> ranks = new Dictionary<string, int>();
  readonly List<KeyValuePair<string, int>> added = new List<KeyValuePair<string, int>>();
  readonly char[] letters = new char[256];

  /// FormatException if it is of another kind: the native library knows more.
  public Tokenizer(string json) {
    var document = Json.Object(Json.Parse(json), "tokenizer");
    var model = Json.Object(Json.Get<object>(document, "model"), "model");
    var cut = document["pre_tokenizer"] as Dictionary<string, object>;
    bool usual = cut != null && (string)cut["type"] == "ByteLevel" && !Json.Get<bool>(cut, "add_prefix_space") &&
                 Json.Get<bool>(cut, "use_regex") && document["normalizer"] == null &&
                 document["post_processor"] == null && Json.Get<string>(model, "type") == "BPE" &&
                 !Json.Get<bool>(model, "ignore_merges");
    if (!usual) throw new FormatException("tokenizer: of a kind that the host does not know; use libmotionrt");
    foreach (var entry in Json.Object(model["vocab"], "vocab")) ids[entry.Key] = (int)(double)entry.Value;
    var merges = Json.Get<List<object>>(model, "merges");
    for (int i = 0; i < merges.Count; i++) {
      var pair = merges[i] as List<object>;
      ranks[pair != null ? (string)pair[0] + " " + (string)pair[1] : (string)merges[i]] = i;
    }
    foreach (object item in Json.Get<List<object>>(document, "added_tokens")) {
      var token = Json.Object(item, "added_tokens");
      added.Add(new KeyValuePair<string, int>(Json.Get<string>(token, "content"), (int)Json.Get<double>(token, "id")));
    }
    // Bytes as letters that can be seen: themselves where they can, from U+0100 on where not.
    int next = 256;
    for (int b = 0; b < 256; b++) {
      bool seen = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      letters[b] = (char)(seen ? b : next++);
    }
  }

  public List<int> Encode(string text, int most) {
    var found = new List<int>();
    int start = 0;
    for (int at = 0; at <= text.Length; at++) {
      foreach (var token in added) {
        if (token.Key.Length == 0 || string.CompareOrdinal(text, at, token.Key, 0, token.Key.Length) != 0) continue;
        Words(text.Substring(start, at - start), found);
        found.Add(token.Value);
        start = at + token.Key.Length;
        at = start - 1;
        break;
      }
    }
    Words(text.Substring(start), found);
    if (found.Count > most) found.RemoveRange(most, found.Count - most);
    return found;
  }

  /// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  void Words(string text, List<int> found) {
    int at = 0;
    while (at < text.Length) {
      int end = Short(text, at);
      if (end == at) {
        int kind = Kind(text, at), from = at;
        if (text[at] == ' ' && at + 1 < text.Length && Kind(text, at + 1) != 0) kind = Kind(text, ++from);
        end = from;
        while (end < text.Length && Kind(text, end) == kind) end += Size(text, end);
        // The last of several blanks belongs to the word behind them.
        if (kind == 0 && end < text.Length && end - at > 1) end--;
      }
      Merge(text.Substring(at, end - at), found);
      at = end;
    }
  }

  static int Short(string text, int at) {
    if (text[at] == '\'')
      foreach (string form in new[] { "'s", "'t", "'re", "'ve", "'m", "'ll", "'d" })
        if (string.CompareOrdinal(text, at, form, 0, form.Length) == 0) return at + form.Length;
    return at;
  }

  static int Size(string text, int at) { return char.IsSurrogatePair(text, at) ? 2 : 1; }

  /// 0: a blank, 1: a letter, 2: a number, 3: anything else.
  static int Kind(string text, int at) {
    if (char.IsWhiteSpace(text[at])) return 0;
    UnicodeCategory category = CharUnicodeInfo.GetUnicodeCategory(text, at);
    return Prompts.Is(category, true, false) ? 1 : Prompts.Is(category, false, true) ? 2 : 3;
  }

  void Merge(string word, List<int> found) {
    var parts = new List<string>();
    foreach (byte b in Encoding.UTF8.GetBytes(word)) parts.Add(letters[b].ToString());
    while (parts.Count > 1) {
      int best = int.MaxValue, place = -1, rank;
      for (int i = 0; i + 1 < parts.Count; i++)
        if (ranks.TryGetValue(parts[i] + " " + parts[i + 1], out rank) && rank < best) {
          best = rank;
          place = i;
        }
      if (place < 0) break;
      parts[place] += parts[place + 1];
      parts.RemoveAt(place + 1);
    }
    int id;
    foreach (string part in parts)
      if (ids.TryGetValue(part, out id)) found.Add(id);
  }
}

}
