#pragma once

#include "CoreMinimal.h"

struct FReferenceSkeleton;

/** From motionrt's world (metres, y up, z ahead, right-handed) to Unreal's (centimetres, z up, x ahead, left-handed). */
namespace MotionrtAxes
{
	/** Of x y z. */
	inline FVector Position(const float* From)
	{
		return FVector(From[2], -From[0], From[1]) * 100.0;
	}

	/** Of w x y z. */
	inline FQuat Rotation(const float* From)
	{
		return FQuat(-From[3], From[1], -From[2], From[0]);
	}
}

/** A model's skeleton, in Unreal's axes. */
struct MOTIONRT_API FMotionrtSkeleton
{
	TArray<FString> Names;
	TArray<int32> Parents;
	/** From the parent, in a T-pose whose rotations are all the identity. */
	TArray<FVector> Offsets;
};

/** A pose of it, in Unreal's axes. */
struct MOTIONRT_API FMotionrtPose
{
	FVector Root = FVector::ZeroVector;
	/** From the parent. */
	TArray<FQuat> Rotations;

	/** Go some share of the way to another pose. */
	void Blend(const FMotionrtPose& To, double Share);
};

/**
 * Carries poses over to a mesh of other bones, proportions and rest pose.
 *
 * A joint's rotation in the world is what the mesh's bone turns by, from its own rest pose; arms and legs that rest
 * otherwise than in a T-pose are first turned into one. Lengths stay the mesh's, and the hips move in proportion to its
 * legs. Bones are found by their names: Unreal's mannequins, Mixamo's, SMPL-X's, those of Unity's and Godot's humanoids.
 */
class MOTIONRT_API FMotionrtRetarget
{
public:
	/**
	 * Space: from the mesh component's space to the actor's, whose x is ahead. BoneMap: names of joints -> names of
	 * bones, where they are not found. False with a line if the skeletons do not go together.
	 */
	bool Bind(const FMotionrtSkeleton& Skeleton, const FReferenceSkeleton& Mesh, const FQuat& Space,
		const TMap<FName, FName>& BoneMap, FString& OutProblem);

	/** Fill in what each bone of the mesh is turned and moved by from its parent. */
	void Show(const FMotionrtPose& Pose, TArray<FTransform>& OutBones) const;

	/** How long the mesh's legs are, the model's being 1. */
	double GetScale() const { return Scale; }

private:
	struct FBone
	{
		FTransform Rest;
		int32 Parent = INDEX_NONE;
		int32 Joint = INDEX_NONE;
		/** In the component's space, when the model is in its T-pose. */
		FQuat Turned = FQuat::Identity;
	};
	TArray<FBone> Bones;
	TArray<int32> Parents;
	FQuat Space = FQuat::Identity;
	double Scale = 1.0;
};
