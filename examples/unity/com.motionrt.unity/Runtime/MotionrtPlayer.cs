// Plays prompts on a Humanoid: add it beside the character's Animator and press play.
//
// The bundle lies in StreamingAssets, the native library and ONNX Runtime in Assets/Plugins (what
// `motionrt package --target linux|windows` writes). A motion is generated in a thread of its own;
// what plays goes on until it is ready, and is blended into it. A hidden skeleton plays the motion,
// Unity's retargeting carries the pose to the character, and root motion moves its transform.
using System.Collections.Generic;
using System.IO;
using System.Threading.Tasks;
using UnityEngine;

namespace Motionrt {

[RequireComponent(typeof(Animator))]
public class MotionrtPlayer : MonoBehaviour {
  [Tooltip("A folder of StreamingAssets, or a full path; read when the first motion is made.")]
  public string bundle = "motionrt-default";
  public string prompt = "a person walks forward";
  public float seconds = 4;
  [Tooltip("-1 draws one.")]
  public long seed = -1;
  public bool loop = true;
  [Tooltip("Keep the character where it stands; off: root motion carries it along.")]
  public bool inPlace;
  public float blendSeconds = 0.25f;
  [Tooltip("Where the body shall be at some frames: a constraint file (JSON), or none.")]
  public TextAsset constraints;

  Pipeline pipeline;
  Task<Clip> coming;
  volatile bool gone;
  Clip motion, last;
  double time, lastTime;
  float scale = 1;
  readonly float[] root = new float[3], way = new float[3];
  float[] rotations;

  // What plays the motion, and how its pose gets to the character.
  GameObject source;
  Transform[] joints;
  Avatar sourceAvatar;
  HumanPoseHandler from, to;
  HumanPose pose;

  public bool IsGenerating { get { return coming != null; } }

  void Start() {
    if (!string.IsNullOrEmpty(prompt)) Play(prompt);
  }

  /// Generate a motion and play it when it is ready. False if one is being made already.
  public bool Play(string text) { return Play(text, constraints == null ? null : constraints.text); }

  /// The same with other constraints than the component's: a constraint file's content, or null.
  public bool Play(string text, string constraintsJson) {
    if (coming != null) return false;
    coming = Generate(text, new Options {
      Seed = seed, Seconds = seconds, ConstraintsJson = constraintsJson, Progress = (stage, done, total) => !gone
    });
    return true;
  }

  /// Begin to make a motion: here by the native library, in a thread of its own.
  protected virtual Task<Clip> Generate(string text, Options options) {
    string folder = Path.Combine(Application.streamingAssetsPath, bundle);
    return Task.Run(() => {
      if (pipeline == null) pipeline = new Pipeline(folder);
      return (Clip)pipeline.Generate(text, options);
    });
  }

  /// Called every frame while a motion is made, for what makes it in the frame loop.
  protected virtual void Advance() {}

  /// Called when what is being made will not be needed.
  protected virtual void Abandon() {}

  /// When nothing is made any more.
  protected virtual void Release() {
    if (pipeline != null) pipeline.Dispose();
  }

  void Update() {
    if (coming != null) Advance();
    if (coming == null || !coming.IsCompleted) return;
    Task<Clip> done = coming;
    coming = null;
    if (done.IsFaulted) Debug.LogError("motionrt: " + done.Exception.GetBaseException().Message, this);
    else Take(done.Result);
  }

  /// After the Animator, which may play something of its own on other bones.
  void LateUpdate() {
    if (motion == null) return;
    uint flags = loop ? Clip.Loop : 0;
    double before = time;
    time += Time.deltaTime;
    lastTime += Time.deltaTime;
    float turn = motion.RootDelta(before, time, flags, way);
    if (!inPlace)
      Move(transform.rotation * Position(way, 0) * scale,
           Rotation(new[] { Mathf.Cos(turn / 2), 0, Mathf.Sin(turn / 2), 0 }, 0));
    float share = blendSeconds > 0 ? (float)(time / blendSeconds) : 1;
    if (last != null && share >= 1) {
      last.Dispose();
      last = null;
    }
    if (last != null) Show(last, lastTime, flags, 1);
    Show(motion, time, flags, last == null ? 1 : share);
    Carry();
  }

  /// Root motion, in the world. Override it to move a CharacterController or a Rigidbody.
  protected virtual void Move(Vector3 by, Quaternion turn) {
    transform.SetPositionAndRotation(transform.position + by, transform.rotation * turn);
  }

  void Take(Clip made) {
    if (last != null) last.Dispose();
    last = motion;
    lastTime = time;
    motion = made;
    time = 0;
    if (source == null && !Build()) enabled = false;
  }

  /// Bring the hidden skeleton to a pose, or some share of the way to it.
  void Show(Clip shown, double seconds, uint flags, float share) {
    shown.Sample(seconds, flags | Clip.InPlace, root, rotations);
    joints[0].localPosition = Vector3.Lerp(joints[0].localPosition, Position(root, 0), share);
    for (int joint = 0; joint < joints.Length; joint++)
      joints[joint].localRotation =
          Quaternion.Slerp(joints[joint].localRotation, Rotation(rotations, 4 * joint), share);
  }

  /// Take the pose over to the character. Versions of Unity differ in whether a pose lies in the
  /// world or under the root: with the root at the origin both are one.
  void Carry() {
    Vector3 position = transform.position;
    Quaternion rotation = transform.rotation;
    transform.SetPositionAndRotation(Vector3.zero, Quaternion.identity);
    from.GetHumanPose(ref pose);
    to.SetHumanPose(ref pose);
    transform.SetPositionAndRotation(position, rotation);
  }

  /// A skeleton of the model's joints, with an avatar that says which joint is which bone.
  bool Build() {
    var animator = GetComponent<Animator>();
    if (!animator.isHuman) {
      Debug.LogError("motionrt: the Animator has no Humanoid avatar", this);
      return false;
    }
    source = new GameObject("motionrt source");
    source.hideFlags = HideFlags.HideAndDontSave;
    joints = new Transform[motion.NumJoints];
    rotations = new float[4 * motion.NumJoints];
    var skeleton = new List<SkeletonBone> { Bone(source.transform) };
    var human = new List<HumanBone>();
    var lengths = new Dictionary<string, float>();
    bool isSoma = System.Array.IndexOf(motion.JointNames, "LeftShin") >= 0;
    for (int joint = 0; joint < joints.Length; joint++) {
      var place = new GameObject(motion.JointNames[joint]).transform;
      int parent = motion.Parents[joint];
      place.SetParent(parent < 0 ? source.transform : joints[parent], false);
      place.localPosition = parent < 0 ? new Vector3(0, 1, 0) : Position(motion.RestOffsets, 3 * joint);
      joints[joint] = place;
      skeleton.Add(Bone(place));
      string bone;
      if (!isSoma || !somaBones.TryGetValue(place.name, out bone))
        bones.TryGetValue(place.name, out bone);
      if (bone == null) continue;
      lengths[bone] = Position(motion.RestOffsets, 3 * joint).magnitude;
      human.Add(new HumanBone {
        boneName = place.name, humanName = bone, limit = new HumanLimit { useDefaultValues = true }
      });
    }
    sourceAvatar = AvatarBuilder.BuildHumanAvatar(source, new HumanDescription {
      human = human.ToArray(), skeleton = skeleton.ToArray(),
      upperArmTwist = 0.5f, lowerArmTwist = 0.5f, upperLegTwist = 0.5f, lowerLegTwist = 0.5f,
      armStretch = 0.05f, legStretch = 0.05f, feetSpacing = 0
    });
    if (!sourceAvatar.isValid || !sourceAvatar.isHuman) {
      Debug.LogError("motionrt: the bundle's skeleton is no Humanoid", this);
      return false;
    }
    from = new HumanPoseHandler(sourceAvatar, source.transform);
    to = new HumanPoseHandler(animator.avatar, animator.transform);
    float ours;
    if (lengths.TryGetValue("LeftLowerLeg", out ours))
      scale = Thigh(animator) / ours;
    return true;
  }

  static float Thigh(Animator animator) {
    return Vector3.Distance(animator.GetBoneTransform(HumanBodyBones.LeftUpperLeg).position,
                            animator.GetBoneTransform(HumanBodyBones.LeftLowerLeg).position);
  }

  void OnDestroy() {
    gone = true; // what is being made ends within one step
    if (coming != null) {
      coming.ContinueWith(done => { Free(done); }, TaskContinuationOptions.ExecuteSynchronously);
      Abandon();
    } else {
      Free(null);
    }
    if (from != null) from.Dispose();
    if (to != null) to.Dispose();
    if (source != null) Destroy(source);
    if (sourceAvatar != null) Destroy(sourceAvatar);
  }

  void Free(Task<Clip> made) {
    if (made != null && made.Status == TaskStatus.RanToCompletion) made.Result.Dispose();
    if (motion != null) motion.Dispose();
    if (last != null) last.Dispose();
    Release();
  }

  static SkeletonBone Bone(Transform place) {
    return new SkeletonBone {
      name = place.name, position = place.localPosition, rotation = place.localRotation,
      scale = place.localScale
    };
  }

  /// Unity is left-handed: x changes its sign.
  static Vector3 Position(float[] from, int at) {
    return new Vector3(-from[at], from[at + 1], from[at + 2]);
  }
  static Quaternion Rotation(float[] from, int at) {
    return new Quaternion(from[at + 1], -from[at + 2], -from[at + 3], from[at]);
  }

  /// What SOMA calls otherwise.
  static readonly Dictionary<string, string> somaBones = new Dictionary<string, string> {
    { "Spine1", "Spine" }, { "Spine2", "Chest" }, { "Chest", "UpperChest" },
    { "LeftLeg", "LeftUpperLeg" }, { "LeftShin", "LeftLowerLeg" },
    { "RightLeg", "RightUpperLeg" }, { "RightShin", "RightLowerLeg" }
  };

  /// Joints of the bundles' skeletons by Unity's bones.
  static readonly Dictionary<string, string> bones = new Dictionary<string, string> {
    // the default, and what SOMA calls the same
    { "Hips", "Hips" }, { "Spine", "Spine" }, { "Spine1", "Chest" }, { "Spine2", "UpperChest" },
    { "Neck", "Neck" }, { "Neck1", "Neck" }, { "Head", "Head" },
    { "LeftShoulder", "LeftShoulder" }, { "LeftArm", "LeftUpperArm" },
    { "LeftForeArm", "LeftLowerArm" }, { "LeftHand", "LeftHand" },
    { "RightShoulder", "RightShoulder" }, { "RightArm", "RightUpperArm" },
    { "RightForeArm", "RightLowerArm" }, { "RightHand", "RightHand" },
    { "LeftUpLeg", "LeftUpperLeg" }, { "LeftLeg", "LeftLowerLeg" }, { "LeftFoot", "LeftFoot" },
    { "LeftToe", "LeftToes" }, { "LeftToeBase", "LeftToes" },
    { "RightUpLeg", "RightUpperLeg" }, { "RightLeg", "RightLowerLeg" },
    { "RightFoot", "RightFoot" }, { "RightToe", "RightToes" }, { "RightToeBase", "RightToes" },
    // SMPL-X and HumanML3D
    { "pelvis", "Hips" }, { "spine1", "Spine" }, { "spine2", "Chest" }, { "spine3", "UpperChest" },
    { "neck", "Neck" }, { "head", "Head" },
    { "left_collar", "LeftShoulder" }, { "left_shoulder", "LeftUpperArm" },
    { "left_elbow", "LeftLowerArm" }, { "left_wrist", "LeftHand" },
    { "right_collar", "RightShoulder" }, { "right_shoulder", "RightUpperArm" },
    { "right_elbow", "RightLowerArm" }, { "right_wrist", "RightHand" },
    { "left_hip", "LeftUpperLeg" }, { "left_knee", "LeftLowerLeg" }, { "left_ankle", "LeftFoot" },
    { "left_foot", "LeftToes" },
    { "right_hip", "RightUpperLeg" }, { "right_knee", "RightLowerLeg" },
    { "right_ankle", "RightFoot" }, { "right_foot", "RightToes" }
  };
}

}
