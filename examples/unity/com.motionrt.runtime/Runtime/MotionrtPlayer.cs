// Plays a prompt on a Humanoid: add it beside the character's Animator and press play.
//
// The bundle lies in StreamingAssets, the native library and ONNX Runtime in Assets/Plugins (what
// `motionrt package --target linux|windows` writes). The motion is generated in a thread of its own;
// when it is ready, a hidden skeleton plays it, and Unity's retargeting carries it to the character.
using System.Collections.Generic;
using System.IO;
using System.Threading.Tasks;
using UnityEngine;

namespace Motionrt {

[RequireComponent(typeof(Animator))]
public sealed class MotionrtPlayer : MonoBehaviour {
  public string bundle = "motionrt-default";
  public string prompt = "a person walks forward";
  public float seconds = 4;
  public long seed = 1;
  public bool loop = true;
  [Tooltip("Keep the character where it stands; off: the motion carries it along.")]
  public bool inPlace;

  Pipeline pipeline;
  Task<Motion> coming;
  Motion motion;
  GameObject source;
  Transform[] joints;
  HumanPoseHandler from, to;
  HumanPose pose;
  Avatar sourceAvatar;
  float[] root, rotations;
  double time;

  void Start() { Play(prompt); }

  /// Generate a motion; the one that plays goes on until it is ready.
  public void Play(string text) {
    if (coming != null && !coming.IsCompleted) return; // a pipeline makes one motion at a time
    string folder = Path.Combine(Application.streamingAssetsPath, bundle);
    var options = new Options { Seed = seed, Seconds = seconds };
    coming = Task.Run(() => {
      if (pipeline == null) pipeline = new Pipeline(folder);
      return pipeline.Generate(text, options);
    });
  }

  void Update() {
    if (coming != null && coming.IsCompleted) {
      Task<Motion> done = coming;
      coming = null;
      if (done.IsFaulted) Debug.LogError(done.Exception.GetBaseException().Message, this);
      else Take(done.Result);
    }
    if (motion != null) time += Time.deltaTime;
  }

  void LateUpdate() {
    if (motion == null) return;
    uint flags = (loop ? Motion.Loop : 0) | (inPlace ? Motion.InPlace : 0);
    motion.Sample(time, flags, root, rotations);
    joints[0].localPosition = Position(root, 0);
    for (int joint = 0; joint < joints.Length; joint++)
      joints[joint].localRotation = Rotation(rotations, 4 * joint);
    from.GetHumanPose(ref pose);
    to.SetHumanPose(ref pose);
  }

  void Take(Motion made) {
    if (motion != null) motion.Dispose();
    motion = made;
    time = 0;
    if (source == null) Build();
  }

  /// A skeleton of the model's joints, with an avatar that says which joint is which bone.
  void Build() {
    source = new GameObject("motionrt source");
    source.hideFlags = HideFlags.HideAndDontSave;
    joints = new Transform[motion.NumJoints];
    root = new float[3];
    rotations = new float[4 * motion.NumJoints];
    var skeleton = new List<SkeletonBone> { Bone(source.transform) };
    var human = new List<HumanBone>();
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
      if (bone != null)
        human.Add(new HumanBone {
          boneName = place.name, humanName = bone, limit = new HumanLimit { useDefaultValues = true }
        });
    }
    sourceAvatar = AvatarBuilder.BuildHumanAvatar(source, new HumanDescription {
      human = human.ToArray(), skeleton = skeleton.ToArray(),
      upperArmTwist = 0.5f, lowerArmTwist = 0.5f, upperLegTwist = 0.5f, lowerLegTwist = 0.5f,
      armStretch = 0.05f, legStretch = 0.05f, feetSpacing = 0
    });
    if (!sourceAvatar.isValid || !sourceAvatar.isHuman)
      Debug.LogError("motionrt: skeleton " + motion.JointNames[0] + "… is no Humanoid", this);
    from = new HumanPoseHandler(sourceAvatar, source.transform);
    var animator = GetComponent<Animator>();
    to = new HumanPoseHandler(animator.avatar, animator.transform);
  }

  void OnDestroy() {
    if (coming != null) coming.ContinueWith(done => { Free(done); }); else Free(null);
    if (from != null) from.Dispose();
    if (to != null) to.Dispose();
    if (source != null) Destroy(source);
    if (sourceAvatar != null) Destroy(sourceAvatar);
  }

  void Free(Task<Motion> last) {
    if (last != null && last.Status == TaskStatus.RanToCompletion) last.Result.Dispose();
    if (motion != null) motion.Dispose();
    if (pipeline != null) pipeline.Dispose();
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
