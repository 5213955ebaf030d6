// Play PLUGIN DUMP: what UMotionrtComponent does to actors, frame by frame.
//
// One mesh is the model's own skeleton on AMotionrtFigure; another is like Unreal's mannequins: other names, a root and
// twist bones, axes that lie anywhere, arms that hang down, one and a half times as large, on a scaled component.
#include "AnimNode_Motionrt.h"
#include "Animation/AnimInstance.h"
#include "Async/Async.h"
#include "Components/PoseableMeshComponent.h"
#include "Engine/SkeletalMesh.h"
#include "Interfaces/IPluginManager.h"
#include "MotionrtComponent.h"
#include "MotionrtFigure.h"
#include "UObject/ConstructorHelpers.h"

#include <cstdio>
#include <cstdlib>

namespace
{
	struct FJoint
	{
		const TCHAR* Name;
		const TCHAR* Bone; // of the mannequin
		int32 Parent;
		double Offset[3]; // metres, as motionrt has them
	};
	const FJoint Joints[] = {
		{TEXT("Hips"), TEXT("pelvis"), -1, {0, 1, 0}},
		{TEXT("LeftUpLeg"), TEXT("thigh_l"), 0, {.09, -.06, 0}},
		{TEXT("LeftLeg"), TEXT("calf_l"), 1, {0, -.42, 0}},
		{TEXT("LeftFoot"), TEXT("foot_l"), 2, {0, -.42, 0}},
		{TEXT("LeftToe"), TEXT("ball_l"), 3, {0, -.06, .13}},
		{TEXT("RightUpLeg"), TEXT("thigh_r"), 0, {-.09, -.06, 0}},
		{TEXT("RightLeg"), TEXT("calf_r"), 5, {0, -.42, 0}},
		{TEXT("RightFoot"), TEXT("foot_r"), 6, {0, -.42, 0}},
		{TEXT("RightToe"), TEXT("ball_r"), 7, {0, -.06, .13}},
		{TEXT("Spine"), TEXT("spine_01"), 0, {0, .07, 0}},
		{TEXT("Spine1"), TEXT("spine_02"), 9, {0, .12, 0}},
		{TEXT("Spine2"), TEXT("spine_03"), 10, {0, .12, 0}},
		{TEXT("Neck"), TEXT("neck_01"), 11, {0, .16, 0}},
		{TEXT("Head"), TEXT("head"), 12, {0, .1, .01}},
		{TEXT("LeftShoulder"), TEXT("clavicle_l"), 11, {.03, .13, 0}},
		{TEXT("LeftArm"), TEXT("upperarm_l"), 14, {.15, 0, 0}},
		{TEXT("LeftForeArm"), TEXT("lowerarm_l"), 15, {.28, 0, 0}},
		{TEXT("LeftHand"), TEXT("hand_l"), 16, {.25, 0, 0}},
		{TEXT("RightShoulder"), TEXT("clavicle_r"), 11, {-.03, .13, 0}},
		{TEXT("RightArm"), TEXT("upperarm_r"), 18, {-.15, 0, 0}},
		{TEXT("RightForeArm"), TEXT("lowerarm_r"), 19, {-.28, 0, 0}},
		{TEXT("RightHand"), TEXT("hand_r"), 20, {-.25, 0, 0}},
	};
	constexpr int32 NumJoints = sizeof(Joints) / sizeof(Joints[0]);
	const FVector Up(0, 0, 1);
	std::FILE* Dump = nullptr;

	/** Only tests reach into components; the engine calls these for them. */
	struct FStage
	{
		AActor& Actor;
		UMotionrtComponent& Component;
		USkinnedMeshComponent& Mesh;
		bool bMannequin;

		void Tick(float Seconds) { Component.TickComponent(Seconds, LEVELTICK_All, nullptr); }

		/** Frames go by until the motion is there: what plays goes on. */
		void Generate(const TCHAR* Prompt)
		{
			if (!Component.Play(Prompt) || Component.Play(TEXT("another")))
			{
				Fail("one motion at a time");
			}
			float Progress = 0.0f;
			while (Component.IsGenerating())
			{
				if (Component.GetProgress() < Progress)
				{
					Fail("progress went back");
				}
				Progress = Component.GetProgress();
				std::this_thread::sleep_for(std::chrono::milliseconds(5));
				Tick(0.0f);
			}
		}

		/** Write where the joints' bones are in the world, centimetres. */
		void Write(const char* What)
		{
			const FReferenceSkeleton& Skeleton = Mesh.GetSkinnedAsset()->GetRefSkeleton();
			const auto* Poseable = Cast<UPoseableMeshComponent>(&Mesh);
			const TArray<FTransform>& Pose = Poseable ? Poseable->BoneSpaceTransforms : Component.Snapshot.LocalTransforms;
			std::vector<FTransform> World;
			for (int32 Bone = 0; Bone < Skeleton.GetNum(); ++Bone)
			{
				const int32 Parent = Skeleton.GetParentIndex(Bone);
				World.push_back(Pose[Bone] * (Parent < 0 ? Mesh.GetComponentTransform() : World[std::size_t(Parent)]));
			}
			std::fprintf(Dump, "%s", What);
			for (const FJoint& Joint : Joints)
			{
				const int32 Bone = Skeleton.FindBoneIndex(bMannequin ? Joint.Bone : Joint.Name);
				const FVector At = World[std::size_t(Bone)].GetLocation();
				std::fprintf(Dump, " %.9g %.9g %.9g", At.X, At.Y, At.Z);
			}
			std::fprintf(Dump, "\n");
		}

		void Frame(const char* What, float Seconds)
		{
			Tick(Seconds);
			Write(What);
		}

		[[noreturn]] static void Fail(const char* Line)
		{
			std::fprintf(stderr, "%s\n", Line);
			std::exit(1);
		}
	};

	FVector Offset(const FJoint& Joint, double Size)
	{
		return FVector(Joint.Offset[2], -Joint.Offset[0], Joint.Offset[1]) * (100.0 * Size);
	}

	/** A mesh that faces y, as Unreal's do. */
	void Build(FReferenceSkeleton& Skeleton, bool bMannequin)
	{
		const double Size = bMannequin ? 1.5 : 1.0;
		const FQuat Faces(Up, 1.5707963267948966);
		std::vector<FTransform> Rests; // in the mesh's space
		std::vector<FQuat> Swings;	   // by which a limb is out of its T-pose
		const auto Add = [&](const TCHAR* Name, int32 Parent, const FTransform& Rest)
		{
			Skeleton.Names.Add(Name);
			Skeleton.Parents.Add(Parent);
			Skeleton.Pose.Add(Parent < 0 ? Rest : Rest.GetRelativeTransform(Rests[std::size_t(Parent)]));
			Rests.push_back(Rest);
		};
		const int32 First = bMannequin ? 1 : 0;
		if (bMannequin)
		{
			Add(TEXT("root"), -1, FTransform());
		}
		for (int32 Index = 0; Index < NumJoints; ++Index)
		{
			const FJoint& Joint = Joints[Index];
			const bool bLeft = Index == 15, bRight = Index == 19;
			FQuat Swing = Joint.Parent < 0 ? FQuat() : Swings[std::size_t(Joint.Parent)];
			const FVector Way = Swing.RotateVector(Faces.RotateVector(Offset(Joint, Size)));
			const FVector From =
				Joint.Parent < 0 ? FVector() : Rests[std::size_t(Joint.Parent + First)].GetLocation();
			if (bMannequin && (bLeft || bRight)) // arms hang
			{
				Swing = FQuat(FVector(0, 1, 0), bLeft ? 0.8 : -0.8) * Swing;
			}
			Swings.push_back(Swing);
			const FQuat Axes = FQuat(FVector(Index % 3 + 1, Index % 5, Index % 2), Index);
			const int32 Parent = Joint.Parent < 0 ? First - 1 : Joint.Parent + First;
			Add(bMannequin ? Joint.Bone : Joint.Name, Parent, FTransform(bMannequin ? Axes : FQuat(), From + Way));
		}
		if (bMannequin)
		{
			Add(TEXT("upperarm_twist_01_l"), 16, Rests[16]);
		}
	}

	/** An actor with a mesh that is not poseable: what plays is read from the component's Snapshot. */
	class AMannequin : public AActor
	{
		STAND_IN_CLASS(AMannequin, AActor)

	public:
		AMannequin()
		{
			RootComponent = CreateDefaultSubobject<USceneComponent>(TEXT("Capsule"));
			Mesh = CreateDefaultSubobject<USkinnedMeshComponent>(TEXT("Mesh"));
			Mesh->SetupAttachment(RootComponent);
			Mesh->SetRelativeRotation(FRotator(0.0, -90.0, 0.0));
			Motionrt = CreateDefaultSubobject<UMotionrtComponent>(TEXT("Motionrt"));
		}
		USkinnedMeshComponent* Mesh;
		UMotionrtComponent* Motionrt;
	};

	void Set(UMotionrtComponent& Component, float Seconds, int64 Seed)
	{
		Component.Seconds = Seconds;
		Component.Seed = Seed;
		Component.bLoop = false;
		Component.Prompt = TEXT("");
	}

	/** How far a node's pose of every other bone is from what it should be, largest first. */
	void Node(FStage Stage, const std::string& Name, const char* What, const TArray<FTransform>& Expected)
	{
		UAnimInstance Instance;
		Instance.Owner = &Stage.Actor;
		FBoneContainer Container;
		Container.Skeleton = &Stage.Mesh.GetSkinnedAsset()->GetRefSkeleton();
		for (int32 Bone = 0; Bone < Container.Skeleton->GetNum(); Bone += 2)
		{
			Container.Required.Add(Bone);
		}
		FPoseContext Output;
		Output.Pose.Container = &Container;
		FAnimNode_Motionrt Node;
		if (!Node.HasPreUpdate())
		{
			FStage::Fail("the node is not told of frames");
		}
		Node.PreUpdate(&Instance);
		Node.Evaluate_AnyThread(Output);
		double Largest = 0.0;
		for (int32 Bone = 0; Bone < Container.Required.Num(); ++Bone)
		{
			const FTransform& Found = Output.Pose.Bones[Bone];
			const FTransform& Wanted = Expected[2 * Bone];
			Largest = std::max(Largest, FVector::Distance(Found.GetLocation(), Wanted.GetLocation()));
			const FQuat A = Found.GetRotation(), B = Wanted.GetRotation();
			Largest = std::max({Largest, std::abs(A.X - B.X), std::abs(A.Y - B.Y), std::abs(A.Z - B.Z)});
		}
		std::fprintf(Dump, "node %s: %s %g\n", Name.c_str(), What, Largest);
	}

	void Play(FStage Stage, const std::string& Name)
	{
		Node(Stage, Name, "rests", Stage.Mesh.GetSkinnedAsset()->GetRefSkeleton().GetRefBonePose());
		if (Stage.Component.GetProgress() != 0.0f)
		{
			FStage::Fail("progress of nothing");
		}
		Set(Stage.Component, 2.0f, 1);
		Stage.Component.BeginPlay();
		if (Stage.Component.IsGenerating())
		{
			FStage::Fail("nothing was asked for");
		}
		Stage.Generate(TEXT("a person walks forward"));
		if (Stage.Component.GetProgress() != 1.0f)
		{
			FStage::Fail("progress of a motion that is made");
		}
		Stage.Write((Name + "_walk").c_str());
		for (int32 Index = 1; Index < 40; ++Index)
		{
			Stage.Frame((Name + "_walk").c_str(), 0.05f);
		}
		Node(Stage, Name, "plays", Stage.Component.Snapshot.LocalTransforms);
		Set(Stage.Component, 1.0f, 2);
		Stage.Generate(TEXT("a person jumps"));
		Stage.Write((Name + "_blend").c_str());
		Stage.Frame((Name + "_blend").c_str(), Stage.Component.BlendSeconds / 2);
		Stage.Component.bInPlace = true;
		const FVector Place = Stage.Actor.GetActorTransform().GetLocation();
		Stage.Frame((Name + "_jump").c_str(), 1.0f);
		if (FVector::Distance(Stage.Actor.GetActorTransform().GetLocation(), Place) != 0.0)
		{
			FStage::Fail("in place it moved");
		}
	}

	/** Write the line that a failure is told by. */
	void Problem(FStage Stage, const char* What)
	{
		Set(Stage.Component, 1.0f, 2);
		Stage.Component.OnFailed.Listeners.push_back(
			[What](const FString& Line) { std::fprintf(Dump, "problem %s: %s\n", What, TCHAR_TO_UTF8(*Line)); });
		Stage.Generate(TEXT("a person jumps"));
		Stage.Component.OnFailed.Listeners.clear();
	}
}

int main(int Count, char** Arguments)
{
	if (Count != 3 || (Dump = std::fopen(Arguments[2], "w")) == nullptr)
	{
		FStage::Fail("Play PLUGIN DUMP");
	}
	IPlugin::BaseDir = UTF8_TO_TCHAR(Arguments[1]);
	USkeletalMesh Model, Mannequin, Stranger;
	Build(Model.Skeleton, false);
	Build(Mannequin.Skeleton, true);
	Stranger.Skeleton.Names.Add(TEXT("Tail"));
	Stranger.Skeleton.Parents.Add(-1);
	Stranger.Skeleton.Pose.Add(FTransform());
	ConstructorHelpers::FObjectFinder<USkeletalMesh>::Made = &Model;
	{
		AMotionrtFigure Figure;
		FStage Stage{Figure, *Figure.Motionrt, *Figure.Mesh, false};
		Figure.AddActorLocalTransform(FTransform(FQuat(Up, 1.0), FVector(300, -100, 0)));
		Play(Stage, "figure");
		if (!Figure.Mesh->bDirty)
		{
			FStage::Fail("the mesh is not refreshed");
		}

		// Gone while it generates, shown again, and gone for good: nothing is left.
		Figure.Motionrt->Play(TEXT("a person waves"));
		Figure.Motionrt->EndPlay(EEndPlayReason::RemovedFromWorld);
		Figure.Motionrt->bInPlace = false;
		Figure.Motionrt->BeginPlay();
		Stage.Generate(TEXT("a person jumps"));
		Stage.Write("again");

		// A bundle that is not there leaves what plays as it was.
		Figure.Motionrt->Bundle = TEXT("nowhere");
		Problem(Stage, "bundle");
		Stage.Frame("still", 0.0f);
		Figure.Motionrt->Bundle = TEXT("motionrt-default");
		Stage.Generate(TEXT("a person jumps"));

		Figure.Mesh->SetSkinnedAssetAndUpdate(&Stranger);
		Figure.Motionrt->Bundle = TEXT("motionrt-default/.");
		Problem(Stage, "bones");
		Stage.Tick(0.1f);
		Figure.Mesh->SetSkinnedAssetAndUpdate(nullptr);
		Problem(Stage, "mesh");
		Figure.Motionrt->Play(TEXT("a person waves"));
		Figure.Motionrt->EndPlay(EEndPlayReason::Destroyed);
	}
	{
		AMannequin Actor;
		Actor.Mesh->SetSkinnedAssetAndUpdate(&Mannequin);
		Actor.Mesh->Relative = FTransform(Actor.Mesh->Relative.GetRotation(), FVector(), FVector(0.8));
		Play({Actor, *Actor.Motionrt, *Actor.Mesh, true}, "mannequin");
		Actor.Motionrt->EndPlay(EEndPlayReason::Destroyed);
	}
	{
		// The engine's own inference, and a runtime of it that is not there.
		AMotionrtFigure Figure;
		FStage Stage{Figure, *Figure.Motionrt, *Figure.Mesh, false};
		Set(*Figure.Motionrt, 2.0f, 1);
		Figure.Motionrt->Bundle = TEXT("motionrt-nne");
		Figure.Motionrt->NneRuntime = TEXT("NNERuntimeORTCpu");
		Figure.Motionrt->Constraints =
			TEXT("[{\"type\": \"root2d\", \"frame_indices\": [0, 39], \"smooth_root_2d\": [[0, 0], [0.5, 1]]}]");
		Stage.Generate(TEXT("a person walks forward"));
		Stage.Write("nne_walk");
		for (int32 Index = 1; Index < 40; ++Index)
		{
			Stage.Frame("nne_walk", 0.05f);
		}
		Figure.Motionrt->Constraints = TEXT("");
		Figure.Motionrt->NneRuntime = TEXT("NNERuntimeOther");
		Problem(Stage, "runtime");
		Figure.Motionrt->EndPlay(EEndPlayReason::Destroyed);
	}
	while (GNumThreads > 0)
	{
		std::this_thread::sleep_for(std::chrono::milliseconds(1));
	}
	for (const auto& Object : GCollected)
	{
		if (Object->bKept)
		{
			FStage::Fail("an object of another thread is kept for ever");
		}
	}
	for (const FString& Line : GLogged)
	{
		std::fprintf(Dump, "logged %s\n", TCHAR_TO_UTF8(*Line));
	}
	return std::fclose(Dump);
}
