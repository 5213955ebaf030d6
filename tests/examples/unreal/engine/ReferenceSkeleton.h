#pragma once

#include "CoreMinimal.h"

struct FReferenceSkeleton
{
	int32 GetNum() const { return Names.Num(); }
	FName GetBoneName(int32 Bone) const { return Names[Bone]; }
	int32 GetParentIndex(int32 Bone) const { return Parents[Bone]; }
	const TArray<FTransform>& GetRefBonePose() const { return Pose; }
	int32 FindBoneIndex(const FName& Name) const
	{
		for (int32 Bone = 0; Bone < Names.Num(); ++Bone)
		{
			if (Names[Bone] == Name)
			{
				return Bone;
			}
		}
		return INDEX_NONE;
	}

	TArray<FName> Names;
	TArray<int32> Parents;
	TArray<FTransform> Pose;
};
