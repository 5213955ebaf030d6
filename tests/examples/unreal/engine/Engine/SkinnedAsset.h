#pragma once

#include "ReferenceSkeleton.h"

class USkinnedAsset : public UObject
{
	STAND_IN_CLASS(USkinnedAsset, UObject)

public:
	const FReferenceSkeleton& GetRefSkeleton() const { return Skeleton; }
	FReferenceSkeleton Skeleton;
};
