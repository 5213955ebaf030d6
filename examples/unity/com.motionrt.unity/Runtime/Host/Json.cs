// JSON as far as a manifest and a tokenizer need it: objects become dictionaries, arrays lists,
// numbers doubles.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Motionrt {

public static class Json {
  const int Deepest = 100;

  /// FormatException says where a text is no JSON.
  public static object Parse(string text) {
    var reader = new Reader { text = text };
    object value = reader.Value(0);
    reader.Blanks();
    if (reader.at != text.Length) throw reader.Wrong("text behind the end");
    return value;
  }

  internal static Dictionary<string, object> Object(object value, string name) {
    var held = value as Dictionary<string, object>;
    if (held == null) throw new FormatException(name + ": no object");
    return held;
  }

  /// What a key holds, of the type that is asked for; FormatException without it.
  internal static T Get<T>(Dictionary<string, object> from, string key) {
    object value;
    if (!from.TryGetValue(key, out value) || !(value is T)) throw new FormatException(key + ": missing, or of another type");
    return (T)value;
  }

  internal static int[] Ints(object value) {
    List<object> items = (List<object>)value;
    var result = new int[items.Count];
    for (int i = 0; i < result.Length; i++) result[i] = (int)(double)items[i];
    return result;
  }

  internal static string[] Texts(object value) {
    List<object> items = (List<object>)value;
    var result = new string[items.Count];
    for (int i = 0; i < result.Length; i++) result[i] = (string)items[i];
    return result;
  }

  sealed class Reader {
    internal string text;
    internal int at;

    internal FormatException Wrong(string what) {
      return new FormatException("JSON, character " + at + ": " + what);
    }

    internal void Blanks() {
      while (at < text.Length && " \t\r\n".IndexOf(text[at]) >= 0) at++;
    }

    char Next() {
      Blanks();
      if (at >= text.Length) throw Wrong("cut off");
      return text[at];
    }

    internal object Value(int depth) {
      if (depth > Deepest) throw Wrong("nested too deep");
      switch (Next()) {
        case '{': return Members(depth);
        case '[': return Items(depth);
        case '"': return Text();
        case 't': return Word("true", true);
        case 'f': return Word("false", false);
        case 'n': return Word("null", null);
        default: return Number();
      }
    }

    object Members(int depth) {
      var made = new Dictionary<string, object>();
      at++;
      if (Next() == '}') { at++; return made; }
      while (true) {
        if (Next() != '"') throw Wrong("a key is expected");
        string key = Text();
        if (Next() != ':') throw Wrong("a colon is expected");
        at++;
        made[key] = Value(depth + 1);
        char next = Next();
        at++;
        if (next == '}') return made;
        if (next != ',') throw Wrong("a comma is expected");
      }
    }

    object Items(int depth) {
      var made = new List<object>();
      at++;
      if (Next() == ']') { at++; return made; }
      while (true) {
        made.Add(Value(depth + 1));
        char next = Next();
        at++;
        if (next == ']') return made;
        if (next != ',') throw Wrong("a comma is expected");
      }
    }

    object Word(string word, object value) {
      if (string.CompareOrdinal(text, at, word, 0, word.Length) != 0) throw Wrong("no value");
      at += word.Length;
      return value;
    }

    object Number() {
      int start = at;
      while (at < text.Length && "+-.0123456789eE".IndexOf(text[at]) >= 0) at++;
      double value;
      if (!double.TryParse(text.Substring(start, at - start), NumberStyles.Float, CultureInfo.InvariantCulture, out value))
        throw Wrong("no value");
      return value;
    }

    string Text() {
      var made = new StringBuilder();
      for (at++; ; at++) {
        if (at >= text.Length) throw Wrong("cut off");
        char c = text[at];
        if (c == '"') break;
        if (c != '\\') { made.Append(c); continue; }
        if (++at >= text.Length) throw Wrong("cut off");
        int code, index = "\"\\/bfnrt".IndexOf(text[at]);
        if (index >= 0) {
          made.Append("\"\\/\b\f\n\r\t"[index]);
        } else if (text[at] == 'u' && at + 4 < text.Length && int.TryParse(
            text.Substring(at + 1, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out code)) {
          made.Append((char)code);
          at += 4;
        } else {
          throw Wrong("an unknown escape");
        }
      }
      at++;
      return made.ToString();
    }
  }
}

}
