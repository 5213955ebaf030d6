#include "AnimNode_Motionrt.h"

#include "Animation/AnimInstance.h"
#include "GameFramework/Actor.h"
#include "MotionrtComponent.h"

void FAnimNode_Motionrt::PreUpdate(const UAnimInstance* Instance)
{
	const AActor* Actor = Instance->GetOwningActor();
	const UMotionrtComponent* Component =
		Actor != nullptr ? Actor->FindComponentByClass<UMotionrtComponent>() : nullptr;
	Bones.Reset();
	if (Component != nullptr && Component->Snapshot.bIsValid)
	{
		Bones = Component->Snapshot.LocalTransforms;
	}
}

void FAnimNode_Motionrt::Evaluate_AnyThread(FPoseContext& Output)
{
	Output.ResetToRefPose();
	const FBoneContainer& Container = Output.Pose.GetBoneContainer();
	for (const FCompactPoseBoneIndex Bone : Output.Pose.ForEachBoneIndex())
	{
		// A level of detail may lack bones, so that its indices are not the mesh's.
		const int32 Index = Container.MakeMeshPoseIndex(Bone).GetInt();
		if (Index < Bones.Num())
		{
			Output.Pose[Bone] = Bones[Index];
		}
	}
}
