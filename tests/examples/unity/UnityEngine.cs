// The part of UnityEngine that examples/unity uses, so that it compiles and runs without the engine.
//
// Vectors, quaternions and hierarchies of transforms do what Unity's do. HumanPoseHandler stands in for
// Unity's retargeting: it hands rotations over from bone to bone, between skeletons that rest in the same
// pose, and the place of the hips in proportion to their height at rest.
using System;
using System.Collections.Generic;

namespace UnityEngine {

public static class Mathf {
  public static float Cos(float x) { return (float)Math.Cos(x); }
  public static float Sin(float x) { return (float)Math.Sin(x); }
}

public struct Vector3 {
  public float x, y, z;
  public Vector3(float x, float y, float z) { this.x = x; this.y = y; this.z = z; }
  public static Vector3 zero { get { return new Vector3(); } }
  public float magnitude { get { return (float)Math.Sqrt(x * x + y * y + z * z); } }
  public static float Distance(Vector3 a, Vector3 b) { return (a - b).magnitude; }
  public static Vector3 Lerp(Vector3 a, Vector3 b, float t) { return a + (b - a) * Math.Min(Math.Max(t, 0), 1); }
  public static Vector3 operator +(Vector3 a, Vector3 b) { return new Vector3(a.x + b.x, a.y + b.y, a.z + b.z); }
  public static Vector3 operator -(Vector3 a, Vector3 b) { return new Vector3(a.x - b.x, a.y - b.y, a.z - b.z); }
  public static Vector3 operator *(Vector3 a, float s) { return new Vector3(a.x * s, a.y * s, a.z * s); }
}

public struct Quaternion {
  public float x, y, z, w;
  public Quaternion(float x, float y, float z, float w) { this.x = x; this.y = y; this.z = z; this.w = w; }
  public static Quaternion identity { get { return new Quaternion(0, 0, 0, 1); } }

  /// First b, then a.
  public static Quaternion operator *(Quaternion a, Quaternion b) {
    return new Quaternion(
        a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
        a.w * b.y + a.y * b.w + a.z * b.x - a.x * b.z,
        a.w * b.z + a.z * b.w + a.x * b.y - a.y * b.x,
        a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z);
  }

  public static Vector3 operator *(Quaternion q, Vector3 v) {
    Quaternion turned = q * new Quaternion(v.x, v.y, v.z, 0) * Inverse(q);
    return new Vector3(turned.x, turned.y, turned.z);
  }

  public static Quaternion Inverse(Quaternion q) { return new Quaternion(-q.x, -q.y, -q.z, q.w); }

  public static Quaternion Slerp(Quaternion a, Quaternion b, float t) {
    t = Math.Min(Math.Max(t, 0), 1);
    double dot = a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w, sign = dot < 0 ? -1 : 1;
    double angle = Math.Acos(Math.Min(Math.Abs(dot), 1)), sine = Math.Sin(angle);
    float one = (float)(sine < 1e-6 ? 1 - t : Math.Sin((1 - t) * angle) / sine);
    float two = (float)(sign * (sine < 1e-6 ? t : Math.Sin(t * angle) / sine));
    return new Quaternion(one * a.x + two * b.x, one * a.y + two * b.y, one * a.z + two * b.z, one * a.w + two * b.w);
  }
}

public enum HideFlags { None = 0, HideAndDontSave = 61 }

public class Object {
  public string name = "";
  public HideFlags hideFlags;
  public bool destroyed;
  public static void Destroy(Object what) { what.destroyed = true; }
}

public sealed class TextAsset : Object {
  public byte[] bytes;
  public string text { get { return System.Text.Encoding.UTF8.GetString(bytes); } }
}

public class Component : Object {
  public GameObject gameObject;
  public Transform transform { get { return gameObject.transform; } }
  public T GetComponent<T>() where T : Component { return gameObject.GetComponent<T>(); }
}

public class MonoBehaviour : Component {
  public bool enabled = true;
}

public sealed class GameObject : Object {
  readonly List<Component> components = new List<Component>();
  public readonly Transform transform;

  public GameObject(string name) {
    this.name = name;
    transform = new Transform { gameObject = this, name = name };
  }

  public T AddComponent<T>() where T : Component, new() {
    var made = new T { gameObject = this };
    components.Add(made);
    return made;
  }

  public T GetComponent<T>() where T : Component {
    foreach (Component component in components)
      if (component is T) return (T)component;
    return null;
  }
}

public sealed class Transform : Component {
  public Transform parent;
  public readonly List<Transform> children = new List<Transform>();
  public Vector3 localPosition, localScale = new Vector3(1, 1, 1);
  public Quaternion localRotation = Quaternion.identity;

  public void SetParent(Transform to, bool worldPositionStays) {
    if (worldPositionStays) throw new NotSupportedException();
    parent = to;
    to.children.Add(this);
  }

  public Quaternion rotation {
    get { return parent == null ? localRotation : parent.rotation * localRotation; }
    set { localRotation = parent == null ? value : Quaternion.Inverse(parent.rotation) * value; }
  }

  public Vector3 position {
    get { return parent == null ? localPosition : parent.position + parent.rotation * localPosition; }
    set {
      localPosition = parent == null ? value : Quaternion.Inverse(parent.rotation) * (value - parent.position);
    }
  }

  public void SetPositionAndRotation(Vector3 position, Quaternion rotation) {
    this.position = position;
    this.rotation = rotation;
  }
}

public struct HumanLimit { public bool useDefaultValues; }
public struct HumanBone { public string boneName, humanName; public HumanLimit limit; }
public struct SkeletonBone { public string name; public Vector3 position, scale; public Quaternion rotation; }
public struct HumanDescription {
  public HumanBone[] human;
  public SkeletonBone[] skeleton;
  public float upperArmTwist, lowerArmTwist, upperLegTwist, lowerLegTwist, armStretch, legStretch, feetSpacing;
}

public sealed class Avatar : Object {
  public static readonly string[] Required = {
    "Hips", "Spine", "Head", "LeftUpperArm", "LeftLowerArm", "LeftHand", "RightUpperArm", "RightLowerArm",
    "RightHand", "LeftUpperLeg", "LeftLowerLeg", "LeftFoot", "RightUpperLeg", "RightLowerLeg", "RightFoot"
  };
  public readonly Dictionary<string, string> boneNames = new Dictionary<string, string>();
  public float hipsHeight;

  public bool isHuman { get { return Array.TrueForAll(Required, boneNames.ContainsKey); } }
  public bool isValid { get { return isHuman; } }
}

public static class AvatarBuilder {
  public static Avatar BuildHumanAvatar(GameObject root, HumanDescription description) {
    var avatar = new Avatar();
    var names = new HashSet<string>();
    foreach (SkeletonBone bone in description.skeleton) {
      if (!names.Add(bone.name)) throw new ArgumentException("two bones are called " + bone.name);
      Transform place = Find(root.transform, bone.name);
      if (place == null || (place.localPosition - bone.position).magnitude > 1e-6)
        throw new ArgumentException(bone.name + " is not where the description has it");
    }
    foreach (HumanBone bone in description.human) {
      if (!names.Contains(bone.boneName)) throw new ArgumentException("no bone " + bone.boneName);
      avatar.boneNames.Add(bone.humanName, bone.boneName);
    }
    if (avatar.isHuman) avatar.hipsHeight = Find(root.transform, avatar.boneNames["Hips"]).position.y;
    return avatar;
  }

  internal static Transform Find(Transform under, string name) {
    if (under.name == name) return under;
    foreach (Transform child in under.children) {
      Transform found = Find(child, name);
      if (found != null) return found;
    }
    return null;
  }
}

public struct HumanPose {
  internal Vector3 hips; // by the height of the hips at rest
  internal Dictionary<string, Quaternion> rotations; // of bones, under the root
}

public sealed class HumanPoseHandler : IDisposable {
  readonly Avatar avatar;
  readonly Transform root;
  public static int undisposed;

  public HumanPoseHandler(Avatar avatar, Transform root) {
    if (!avatar.isHuman) throw new ArgumentException("the avatar is not human");
    this.avatar = avatar;
    this.root = root;
    undisposed++;
  }

  public void GetHumanPose(ref HumanPose pose) {
    pose.rotations = new Dictionary<string, Quaternion>();
    foreach (KeyValuePair<string, string> bone in avatar.boneNames)
      pose.rotations[bone.Key] = AvatarBuilder.Find(root, bone.Value).rotation;
    pose.hips = AvatarBuilder.Find(root, avatar.boneNames["Hips"]).position * (1 / avatar.hipsHeight);
  }

  /// In the world, as older versions of Unity have it.
  public void SetHumanPose(ref HumanPose pose) {
    Set(root, pose);
    AvatarBuilder.Find(root, avatar.boneNames["Hips"]).position = pose.hips * avatar.hipsHeight;
  }

  void Set(Transform place, HumanPose pose) {
    foreach (KeyValuePair<string, string> bone in avatar.boneNames)
      if (bone.Value == place.name && pose.rotations.ContainsKey(bone.Key)) place.rotation = pose.rotations[bone.Key];
    foreach (Transform child in place.children) Set(child, pose);
  }

  public void Dispose() { undisposed--; }
}

public enum HumanBodyBones { LeftUpperLeg, LeftLowerLeg }

public sealed class Animator : Component {
  public Avatar avatar;
  public bool isHuman { get { return avatar != null && avatar.isHuman; } }
  public Transform GetBoneTransform(HumanBodyBones bone) {
    return AvatarBuilder.Find(transform, avatar.boneNames[bone.ToString()]);
  }
}

public static class Application { public static string streamingAssetsPath; }
public static class Time { public static float deltaTime; }
public static class Debug {
  public static readonly List<string> errors = new List<string>();
  public static void LogError(string line, Object about) { errors.Add(line); }
}

public sealed class RequireComponent : Attribute { public RequireComponent(Type type) {} }
public sealed class TooltipAttribute : Attribute { public TooltipAttribute(string text) {} }

}
