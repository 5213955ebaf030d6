#pragma once

#include "Engine/SkinnedAsset.h"

class USkeletalMesh : public USkinnedAsset
{
	STAND_IN_CLASS(USkeletalMesh, USkinnedAsset)
};
