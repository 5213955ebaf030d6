// Rotations in doubles, one at a time, as motionrt.runtime.body.rotation has them in arrays.
//
// A matrix is nine numbers, rows first, for columns; quaternions are w x y z.
using System;

namespace Motionrt {

internal struct Vector {
  internal readonly double X, Y, Z;

  internal Vector(double x, double y, double z) {
    X = x;
    Y = y;
    Z = z;
  }

  internal double Length { get { return Math.Sqrt(Dot(this, this)); } }

  /// What has no direction becomes zero.
  internal Vector Unit {
    get {
      double length = Length;
      return length < 1e-12 ? new Vector() : this * (1 / length);
    }
  }

  internal static double Dot(Vector a, Vector b) { return a.X * b.X + a.Y * b.Y + a.Z * b.Z; }

  internal static Vector Cross(Vector a, Vector b) {
    return new Vector(a.Y * b.Z - a.Z * b.Y, a.Z * b.X - a.X * b.Z, a.X * b.Y - a.Y * b.X);
  }

  public static Vector operator +(Vector a, Vector b) { return new Vector(a.X + b.X, a.Y + b.Y, a.Z + b.Z); }
  public static Vector operator -(Vector a, Vector b) { return new Vector(a.X - b.X, a.Y - b.Y, a.Z - b.Z); }
  public static Vector operator *(Vector a, double by) { return new Vector(a.X * by, a.Y * by, a.Z * by); }
}

internal static class Rotations {
  /// result = a b; it may lie in either's array where it overlaps neither.
  internal static void Multiply(double[] a, int i, double[] b, int j, double[] result, int at) {
    for (int row = 0; row < 9; row += 3)
      for (int column = 0; column < 3; column++)
        result[at + row + column] =
            a[i + row] * b[j + column] + a[i + row + 1] * b[j + 3 + column] + a[i + row + 2] * b[j + 6 + column];
  }

  /// result = aᵀ b; as above.
  internal static void TransposedTimes(double[] a, int i, double[] b, int j, double[] result, int at) {
    for (int row = 0; row < 3; row++)
      for (int column = 0; column < 3; column++)
        result[at + 3 * row + column] =
            a[i + row] * b[j + column] + a[i + row + 3] * b[j + 3 + column] + a[i + row + 6] * b[j + 6 + column];
  }

  internal static double[] Product(double[] a, double[] b) {
    var result = new double[9];
    Multiply(a, 0, b, 0, result, 0);
    return result;
  }

  internal static double[] At(double[] matrices, int i) {
    var result = new double[9];
    Array.Copy(matrices, i, result, 0, 9);
    return result;
  }

  internal static double[] Transposed(double[] m) {
    return new[] { m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8] };
  }

  internal static Vector Turned(double[] m, int i, Vector v) {
    return new Vector(m[i] * v.X + m[i + 1] * v.Y + m[i + 2] * v.Z, m[i + 3] * v.X + m[i + 4] * v.Y + m[i + 5] * v.Z,
                      m[i + 6] * v.X + m[i + 7] * v.Y + m[i + 8] * v.Z);
  }

  internal static Vector TurnedBack(double[] m, int i, Vector v) {
    return new Vector(m[i] * v.X + m[i + 3] * v.Y + m[i + 6] * v.Z, m[i + 1] * v.X + m[i + 4] * v.Y + m[i + 7] * v.Z,
                      m[i + 2] * v.X + m[i + 5] * v.Y + m[i + 8] * v.Z);
  }

  internal static double[] Identity() { return new double[] { 1, 0, 0, 0, 1, 0, 0, 0, 1 }; }

  /// Turns a direction into another the shortest way; above a cosine nothing turns.
  internal static double[] ShortestArc(Vector from, Vector to, double stillAbove) {
    Vector a = from.Unit, b = to.Unit, middle = a + b;
    if (Vector.Dot(a, b) > stillAbove) return Identity();
    double length = middle.Length;
    if (length >= 8 * 2.220446049250313e-16) {
      Vector axis = Vector.Cross(a, middle) * (1 / length);
      return FromQuaternion(new[] { length / 2, axis.X, axis.Y, axis.Z });
    }
    Vector square = Vector.Cross(Math.Abs(a.X) < 0.9 ? new Vector(1, 0, 0) : new Vector(0, 1, 0), a).Unit;
    return square.Length == 0 ? Identity() : FromQuaternion(new[] { 0, square.X, square.Y, square.Z });
  }

  /// By an angle about a unit axis: Rodrigues' formula.
  internal static double[] TurnAbout(Vector axis, double angle) {
    double[] cross = { 0, -axis.Z, axis.Y, axis.Z, 0, -axis.X, -axis.Y, axis.X, 0 };
    double[] turn = Product(cross, cross);
    double sine = Math.Sin(angle), rest = 1 - Math.Cos(angle);
    for (int i = 0; i < 9; i++) turn[i] = (i % 4 == 0 ? 1 : 0) + sine * cross[i] + rest * turn[i];
    return turn;
  }

  /// From a rotation vector; the axis is divided by the angle plus 1e-6, as in Kimodo.
  internal static double[] FromAxisAngle(Vector vector) {
    double angle = vector.Length;
    return TurnAbout(vector * (1 / (angle + 1e-6)), angle);
  }

  /// The largest of the four is computed from the trace, the others from it; any sign.
  internal static double[] ToQuaternion(double[] m, int i) {
    double xx = m[i], yy = m[i + 4], zz = m[i + 8];
    double[] squares = { 1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz };
    int largest = 0;
    for (int part = 1; part < 4; part++) if (squares[part] > squares[largest]) largest = part;
    double square = Math.Max(squares[largest], 0);
    double wx = m[i + 7] - m[i + 5], wy = m[i + 2] - m[i + 6], wz = m[i + 3] - m[i + 1];
    double xy = m[i + 1] + m[i + 3], xz = m[i + 2] + m[i + 6], yz = m[i + 5] + m[i + 7];
    double[] row = largest == 0   ? new[] { square, wx, wy, wz }
                   : largest == 1 ? new[] { wx, square, xy, xz }
                   : largest == 2 ? new[] { wy, xy, square, yz }
                                  : new[] { wz, xz, yz, square };
    double size = 2 * Math.Max(Math.Sqrt(square), 0.1);
    for (int part = 0; part < 4; part++) row[part] /= size;
    return row;
  }

  /// From a quaternion of any length but zero.
  internal static double[] FromQuaternion(double[] q) {
    double w = q[0], x = q[1], y = q[2], z = q[3], s = 2 / (w * w + x * x + y * y + z * z);
    return new[] {
      1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w),
      s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w),
      s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)
    };
  }

  /// Between matrices along the shorter arc.
  internal static double[] Between(double[] from, double[] to, double share) {
    double[] a = ToQuaternion(from, 0), b = ToQuaternion(to, 0), mixed = new double[4];
    double dot = 0, apart = 0, together = 0;
    for (int part = 0; part < 4; part++) dot += a[part] * b[part];
    for (int part = 0; part < 4; part++) {
      if (dot < 0) b[part] = -b[part];
      apart += (b[part] - a[part]) * (b[part] - a[part]);
      together += (b[part] + a[part]) * (b[part] + a[part]);
    }
    double angle = 2 * Math.Atan2(Math.Sqrt(apart), Math.Sqrt(together)), sine = Math.Sin(angle);
    double first = sine < 1e-6 ? 1 - share : Math.Sin((1 - share) * angle) / sine;
    double second = sine < 1e-6 ? share : Math.Sin(share * angle) / sine;
    for (int part = 0; part < 4; part++) mixed[part] = first * a[part] + second * b[part];
    return FromQuaternion(mixed);
  }
}

}
