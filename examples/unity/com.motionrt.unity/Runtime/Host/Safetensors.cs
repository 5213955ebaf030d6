// Tensors in a file, as far as a bundle's statistics need it.
using System;
using System.Collections.Generic;
using System.Text;

namespace Motionrt {

/// The length of a header, the header (JSON), the numbers.
internal static class Safetensors {
  /// FormatException if there is no such tensor of float32.
  internal static float[] Floats(byte[] file, string name) {
    long length = file.Length < 8 ? -1 : BitConverter.ToInt64(file, 0);
    if (length < 0 || length > file.Length - 8) throw new FormatException("statistics: no safetensors file");
    var header = Json.Object(Json.Parse(Encoding.UTF8.GetString(file, 8, (int)length)), "statistics");
    object found;
    header.TryGetValue(name, out found);
    var tensor = Json.Object(found, "statistics: " + name);
    var ends = Json.Get<List<object>>(tensor, "data_offsets");
    double start = (double)ends[0], stop = (double)ends[1];
    if (Json.Get<string>(tensor, "dtype") != "F32" || !(0 <= start && start <= stop && stop <= file.Length - 8 - length))
      throw new FormatException("statistics: " + name + " is no float32 tensor of this file");
    var values = new float[(int)(stop - start) / 4];
    Buffer.BlockCopy(file, 8 + (int)length + (int)start, values, 0, 4 * values.Length);
    return values;
  }
}

}
