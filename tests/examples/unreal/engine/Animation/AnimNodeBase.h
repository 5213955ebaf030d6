// Poses of which a level of detail has some of the mesh's bones, as the engine's animation nodes give them.
#pragma once

#include "CoreMinimal.h"
#include "ReferenceSkeleton.h"

class UAnimInstance;

/** Of the bones that a pose has. */
class FCompactPoseBoneIndex
{
public:
	explicit FCompactPoseBoneIndex(int32 From) : Index(From) {}
	int32 GetInt() const { return Index; }

private:
	int32 Index;
};

/** Of all bones of the mesh. */
class FMeshPoseBoneIndex
{
public:
	explicit FMeshPoseBoneIndex(int32 From) : Index(From) {}
	int32 GetInt() const { return Index; }

private:
	int32 Index;
};

struct FBoneContainer
{
	FMeshPoseBoneIndex MakeMeshPoseIndex(const FCompactPoseBoneIndex& Bone) const
	{
		return FMeshPoseBoneIndex(Required[Bone.GetInt()]);
	}

	const FReferenceSkeleton* Skeleton = nullptr;
	TArray<int32> Required;
};

struct FCompactPose
{
	const FBoneContainer& GetBoneContainer() const { return *Container; }
	std::vector<FCompactPoseBoneIndex> ForEachBoneIndex() const
	{
		std::vector<FCompactPoseBoneIndex> All;
		for (int32 Bone = 0; Bone < Bones.Num(); ++Bone)
		{
			All.emplace_back(Bone);
		}
		return All;
	}
	FTransform& operator[](const FCompactPoseBoneIndex& Bone) { return Bones[Bone.GetInt()]; }

	const FBoneContainer* Container = nullptr;
	TArray<FTransform> Bones;
};

struct FPoseContext
{
	void ResetToRefPose()
	{
		Pose.Bones.Reset();
		for (const int32 Bone : Pose.Container->Required)
		{
			Pose.Bones.Add(Pose.Container->Skeleton->GetRefBonePose()[Bone]);
		}
	}

	FCompactPose Pose;
};

struct FAnimNode_Base
{
	virtual ~FAnimNode_Base() = default;
	virtual bool HasPreUpdate() const { return false; }
	virtual void PreUpdate(const UAnimInstance*) {}
	virtual void Evaluate_AnyThread(FPoseContext&) {}
};
