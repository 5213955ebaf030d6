// Normal numbers from a seed: those of torch's CPU generator, as Python and the C library draw them.
using System;

namespace Motionrt {

/// A stream of draws of at least 16 numbers each, as a motion takes them.
public sealed class Noise {
  const int Words = 624, Block = 16;
  readonly uint[] state = new uint[Words];
  int at = Words;

  public Noise(uint seed) {
    state[0] = seed;
    for (uint i = 1; i < Words; i++)
      state[i] = unchecked(1812433253u * (state[i - 1] ^ (state[i - 1] >> 30)) + i);
  }

  public float[] Draw(int count) {
    if (count < Block) throw new ArgumentException("noise is drawn 16 numbers at a time, or more");
    var uniform = new float[count];
    for (int i = 0; i < count; i++) uniform[i] = Uniform();
    var values = new float[count];
    int whole = count / Block * Block;
    for (int start = 0; start < whole; start += Block) BoxMuller(uniform, start, values, start);
    if (whole != count) { // torch draws the last block anew
      var last = new float[Block];
      for (int i = 0; i < Block; i++) last[i] = Uniform();
      BoxMuller(last, 0, values, count - Block);
    }
    return values;
  }

  static void BoxMuller(float[] uniform, int from, float[] values, int to) {
    const int half = Block / 2;
    for (int i = 0; i < half; i++) {
      float log = (float)Math.Log((float)(1f - uniform[from + i]));
      float radius = (float)Math.Sqrt((float)(-2f * log));
      float angle = (float)((float)(2 * Math.PI) * uniform[from + half + i]);
      values[to + i] = (float)(radius * (float)Math.Cos(angle));
      values[to + half + i] = (float)(radius * (float)Math.Sin(angle));
    }
  }

  float Uniform() { return (Next() & 0xFFFFFF) * (1f / (1 << 24)); }

  /// Mersenne Twister 19937.
  uint Next() {
    if (at == Words) {
      for (int i = 0; i < Words; i++) {
        uint joined = (state[i] & 0x80000000u) | (state[(i + 1) % Words] & 0x7FFFFFFFu);
        state[i] = state[(i + 397) % Words] ^ (joined >> 1) ^ ((joined & 1) != 0 ? 0x9908B0DFu : 0);
      }
      at = 0;
    }
    uint word = state[at++];
    word ^= word >> 11;
    word ^= (word << 7) & 0x9D2C5680u;
    word ^= (word << 15) & 0xEFC60000u;
    return word ^ (word >> 18);
  }
}

}
