#include "MotionrtComponent.h"

#include "Async/Async.h"
#include "Components/PoseableMeshComponent.h"
#include "Engine/SkinnedAsset.h"
#include "GameFramework/Actor.h"
#include "MotionrtPipeline.h"

DEFINE_LOG_CATEGORY_STATIC(LogMotionrt, Log, All);

UMotionrtComponent::UMotionrtComponent()
{
	PrimaryComponentTick.bCanEverTick = true;
}

void UMotionrtComponent::BeginPlay()
{
	Super::BeginPlay();
	if (!Prompt.IsEmpty())
	{
		Play(Prompt);
	}
}

bool UMotionrtComponent::Play(const FString& Text)
{
	if (Coming.IsValid())
	{
		return false;
	}
	if (!Pipeline.IsValid() || !Pipeline->Has(Bundle, NneRuntime))
	{
		bBound = false;
		Pipeline = MakeShared<FMotionrtPipeline, ESPMode::ThreadSafe>(Bundle, NneRuntime);
	}
	Pipeline->Begin();
	// The thread holds the pipeline, not this component: either may end first.
	Coming = Async(EAsyncExecution::Thread, [Maker = Pipeline, Text, Held = Constraints, Wanted = Seconds, Drawn = Seed]()
	{
		FMade Made;
		Made.Prompt = Text;
		Made.Motion = Maker->Generate(Text, Held, Wanted, Drawn, Made.Problem);
		return Made;
	});
	return true;
}

float UMotionrtComponent::GetProgress() const
{
	return Pipeline.IsValid() ? Pipeline->GetProgress() : 0.0f;
}

void UMotionrtComponent::Take(const FMade& Made)
{
	FString Problem = Made.Problem;
	if (Made.Motion.IsValid() && !bBound)
	{
		Motion.Reset();
		bBound = Bind(*Made.Motion, Problem);
	}
	if (!Made.Motion.IsValid() || !bBound)
	{
		UE_LOG(LogMotionrt, Error, TEXT("%s"), *Problem);
		OnFailed.Broadcast(Problem);
		return;
	}
	Last = Motion;
	LastTime = Time;
	Motion = Made.Motion;
	Time = 0.0;
	OnStarted.Broadcast(Made.Prompt);
}

bool UMotionrtComponent::Bind(const FMotionrtMotion& Made, FString& OutProblem)
{
	Mesh = GetOwner()->FindComponentByClass<USkinnedMeshComponent>();
	if (Mesh == nullptr || Mesh->GetSkinnedAsset() == nullptr)
	{
		OutProblem = TEXT("the actor has no mesh with a skeleton");
		return false;
	}
	const FReferenceSkeleton& Skeleton = Mesh->GetSkinnedAsset()->GetRefSkeleton();
	Snapshot.BoneNames.Reset();
	for (int32 Bone = 0; Bone < Skeleton.GetNum(); ++Bone)
	{
		Snapshot.BoneNames.Add(Skeleton.GetBoneName(Bone));
	}
	Snapshot.SkeletalMeshName = Mesh->GetSkinnedAsset()->GetFName();
	// A mannequin faces y in its own space and is turned to face x on its actor.
	const FTransform Space = Mesh->GetComponentTransform().GetRelativeTransform(GetOwner()->GetActorTransform());
	return Retarget.Bind(Made.GetSkeleton(), Skeleton, Space.GetRotation(), BoneMap, OutProblem);
}

void UMotionrtComponent::TickComponent(
	float DeltaTime, ELevelTick TickType, FActorComponentTickFunction* ThisTickFunction)
{
	Super::TickComponent(DeltaTime, TickType, ThisTickFunction);
	if (Coming.IsValid() && Coming.IsReady())
	{
		const FMade Made = Coming.Get();
		Coming = TFuture<FMade>();
		Take(Made);
		DeltaTime = 0.0f;
	}
	if (!Motion.IsValid() || Mesh == nullptr)
	{
		return;
	}
	const uint32 Flags = bLoop ? MRT_LOOP : 0;
	const double Before = Time;
	Time += DeltaTime;
	LastTime += DeltaTime;
	if (!bInPlace)
	{
		FTransform Delta = Motion->RootMotion(Before, Time, Flags);
		Delta.SetLocation(Delta.GetLocation() * Retarget.GetScale() * Mesh->GetComponentTransform().GetScale3D().Z);
		Move(Delta);
	}
	FMotionrtPose Pose = Motion->Sample(Time, Flags | MRT_IN_PLACE);
	if (Last.IsValid() && Time < BlendSeconds)
	{
		FMotionrtPose From = Last->Sample(LastTime, Flags | MRT_IN_PLACE);
		From.Blend(Pose, Time / BlendSeconds);
		Pose = From;
	}
	else
	{
		Last.Reset();
	}
	Retarget.Show(Pose, Snapshot.LocalTransforms);
	Snapshot.bIsValid = true;
	if (UPoseableMeshComponent* Poseable = Cast<UPoseableMeshComponent>(Mesh))
	{
		Poseable->BoneSpaceTransforms = Snapshot.LocalTransforms;
		Poseable->MarkRefreshTransformDirty();
	}
}

void UMotionrtComponent::Move(const FTransform& Delta)
{
	GetOwner()->AddActorLocalTransform(Delta);
}

void UMotionrtComponent::EndPlay(const EEndPlayReason::Type Reason)
{
	if (Pipeline.IsValid())
	{
		Pipeline->Cancel();
	}
	Pipeline.Reset(); // its thread holds it until it has ended; a level that is shown again begins anew
	Coming = TFuture<FMade>();
	Motion.Reset();
	Last.Reset();
	Snapshot.bIsValid = false;
	Super::EndPlay(Reason);
}
