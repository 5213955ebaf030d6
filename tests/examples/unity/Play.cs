// Play.exe STREAMING_ASSETS DUMP: what MotionrtPlayer does to a Humanoid, frame by frame.
//
// The character is one and a half times the model's size, has other names, stands elsewhere and is turned.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Reflection;
using System.Threading;
using Motionrt;
using UnityEngine;

static class Play {
  const float Size = 1.5f;
  static readonly string[] Names = {
    "Hips", "LeftUpperLeg", "LeftLowerLeg", "LeftFoot", "LeftToes", "RightUpperLeg", "RightLowerLeg", "RightFoot",
    "RightToes", "Spine", "Chest", "UpperChest", "Neck", "Head", "LeftShoulder", "LeftUpperArm", "LeftLowerArm",
    "LeftHand", "RightShoulder", "RightUpperArm", "RightLowerArm", "RightHand"
  };
  static MotionrtPlayer player;
  static Transform[] bones;
  static TextWriter dump;

  static int Main(string[] arguments) {
    Application.streamingAssetsPath = arguments[0];
    dump = new StreamWriter(arguments[1]);
    GameObject character = Character();
    player = character.AddComponent<MotionrtPlayer>();
    player.seconds = 2;
    player.seed = 1;
    player.loop = false;
    player.prompt = "";
    Call("Start");
    if (player.IsGenerating) return Fail("nothing was asked for");

    double fps = Generate("a person walks forward").Fps;
    Frame("walk", 0);
    for (int frame = 1; frame < 2 * fps; frame++) Frame("walk", (float)(1 / fps));

    player.seed = 2;
    player.seconds = 1;
    Generate("a person jumps");
    Frame("blend", 0);
    Frame("blend", player.blendSeconds / 2);
    player.inPlace = true;
    Vector3 place = character.transform.position;
    Frame("jump", 1);
    if ((character.transform.position - place).magnitude != 0) return Fail("in place it moved");

    // To a place on the floor, as the document's script asks for it.
    player.inPlace = false;
    player.seconds = 3;
    place = character.transform.position;
    Quaternion turned = character.transform.rotation;
    var director = character.AddComponent<Director>();
    director.WalkTo(-0.5f, 1);
    Wait();
    Frame("there", 3);
    Vector3 way = Quaternion.Inverse(turned) * (character.transform.position - place) * (1 / Size);
    if ((way - new Vector3(-0.5f, 0, 1)).magnitude > 0.15f) return Fail("it walked to " + way.x + ", " + way.z);
    director.Jump();
    Wait();

    // Gone while it generates: nothing is left.
    player.Play("a person waves");
    Call("OnDestroy");
    if (HumanPoseHandler.undisposed != 0) return Fail("a handler is left");

    player = new GameObject("no Humanoid").AddComponent<MotionrtPlayer>();
    player.gameObject.AddComponent<Animator>();
    Generate("a person waves");
    if (player.enabled || Debug.errors[0] != "motionrt: the Animator has no Humanoid avatar") return Fail("no line");
    Call("OnDestroy");
    player = Character().AddComponent<MotionrtPlayer>();
    player.bundle = "nowhere";
    Generate("a person waves");
    if (!Debug.errors[1].Contains("no manifest.json in it")) return Fail(Debug.errors[1]);
    dump.Dispose();
    return 0;
  }

  static int Fail(string line) {
    Console.Error.WriteLine(line);
    return 1;
  }

  static void Call(string method) {
    typeof(MotionrtPlayer).GetMethod(method, BindingFlags.Instance | BindingFlags.NonPublic).Invoke(player, null);
  }

  /// Frames go by until the motion is there: what plays goes on.
  static Motion Generate(string prompt) {
    if (!player.Play(prompt) || player.Play("another")) throw new Exception("one motion at a time");
    return Wait();
  }

  static Motion Wait() {
    while (player.IsGenerating) {
      Thread.Sleep(5);
      Call("Update");
    }
    return (Motion)typeof(MotionrtPlayer).GetField("motion", BindingFlags.Instance | BindingFlags.NonPublic)
        .GetValue(player);
  }

  static void Frame(string what, float seconds) {
    Time.deltaTime = seconds;
    Call("Update");
    Call("LateUpdate");
    var numbers = new List<string>();
    foreach (Transform bone in bones)
      foreach (float number in new[] { bone.position.x, bone.position.y, bone.position.z })
        numbers.Add(number.ToString("R", CultureInfo.InvariantCulture));
    dump.WriteLine(what + " " + string.Join(" ", numbers));
  }

  /// A Humanoid like the model, but for its size; Unity's x points the other way.
  static GameObject Character() {
    float[][] offsets = {
      new[] { 0, 1, 0f }, new[] { .09f, -.06f, 0 }, new[] { 0, -.42f, 0 }, new[] { 0, -.42f, 0 },
      new[] { 0, -.06f, .13f }, new[] { -.09f, -.06f, 0 }, new[] { 0, -.42f, 0 }, new[] { 0, -.42f, 0 },
      new[] { 0, -.06f, .13f }, new[] { 0, .07f, 0 }, new[] { 0, .12f, 0 }, new[] { 0, .12f, 0 },
      new[] { 0, .16f, 0 }, new[] { 0, .1f, .01f }, new[] { .03f, .13f, 0 }, new[] { .15f, 0, 0 },
      new[] { .28f, 0, 0 }, new[] { .25f, 0, 0 }, new[] { -.03f, .13f, 0 }, new[] { -.15f, 0, 0 },
      new[] { -.28f, 0, 0 }, new[] { -.25f, 0, 0 }
    };
    int[] parents = { -1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 12, 11, 14, 15, 16, 11, 18, 19, 20 };
    var character = new GameObject("character");
    var human = new List<HumanBone>();
    var skeleton = new List<SkeletonBone>();
    bones = new Transform[Names.Length];
    for (int i = 0; i < Names.Length; i++) {
      bones[i] = new GameObject("of_the_game_" + Names[i]).transform;
      bones[i].SetParent(i == 0 ? character.transform : bones[parents[i]], false);
      bones[i].localPosition = new Vector3(-offsets[i][0], offsets[i][1], offsets[i][2]) * Size;
      skeleton.Add(new SkeletonBone { name = bones[i].name, position = bones[i].localPosition });
      human.Add(new HumanBone { boneName = bones[i].name, humanName = Names[i] });
    }
    character.AddComponent<Animator>().avatar = AvatarBuilder.BuildHumanAvatar(
        character, new HumanDescription { human = human.ToArray(), skeleton = skeleton.ToArray() });
    character.transform.SetPositionAndRotation(
        new Vector3(3, 0, -1), new Quaternion(0, Mathf.Sin(0.5f), 0, Mathf.Cos(0.5f)));
    return character;
  }
}
