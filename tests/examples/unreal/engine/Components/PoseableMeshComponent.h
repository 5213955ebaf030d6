#pragma once

#include "Components/SkinnedMeshComponent.h"

class UPoseableMeshComponent : public USkinnedMeshComponent
{
	STAND_IN_CLASS(UPoseableMeshComponent, USkinnedMeshComponent)

public:
	TArray<FTransform> BoneSpaceTransforms;
	void MarkRefreshTransformDirty() { bDirty = true; }
	bool bDirty = false;
};
