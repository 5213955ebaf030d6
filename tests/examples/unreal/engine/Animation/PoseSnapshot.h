#pragma once

#include "CoreMinimal.h"

struct FPoseSnapshot
{
	TArray<FTransform> LocalTransforms;
	TArray<FName> BoneNames;
	FName SkeletalMeshName;
	FName SnapshotName;
	bool bIsValid = false;
};
