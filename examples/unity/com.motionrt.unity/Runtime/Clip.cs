// A motion as a player sees it, whatever made it.
using System;

namespace Motionrt {

/// One clip. Metres, y up, +z forward, right-handed; quaternions are w x y z.
public abstract class Clip : IDisposable {
  public const uint Loop = 1, InPlace = 2;

  public int NumFrames { get; protected set; }
  public int NumJoints { get; protected set; }
  public double Fps { get; protected set; }
  public double Seconds { get; protected set; }
  public uint Seed { get; protected set; }
  public string Prompt { get; protected set; }
  public string[] JointNames { get; protected set; }
  public int[] Parents { get; protected set; }
  /// (J, 3) metres from the parent in the rest pose.
  public float[] RestOffsets { get; protected set; }

  /// The pose at a time: root (3) and rotations (J, 4) are filled.
  public void Sample(double seconds, uint flags, float[] root, float[] rotations) {
    if (root != null && root.Length < 3) throw new ArgumentException("root has 3 numbers");
    if (rotations != null && rotations.Length < 4 * NumJoints)
      throw new ArgumentException("rotations have 4 numbers a joint");
    SamplePose(seconds, flags, root, rotations);
  }

  /// The root's way (3), z ahead, and its turn about y from one time to a later one.
  public float RootDelta(double from, double to, uint flags, float[] translation) {
    if (translation != null && translation.Length < 3)
      throw new ArgumentException("translation has 3 numbers");
    return RootWay(from, to, flags, translation);
  }

  protected abstract void SamplePose(double seconds, uint flags, float[] root, float[] rotations);
  protected abstract float RootWay(double from, double to, uint flags, float[] translation);

  public abstract void Dispose();
}

}
