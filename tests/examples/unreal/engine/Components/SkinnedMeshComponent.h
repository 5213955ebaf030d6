#pragma once

#include "Components/SceneComponent.h"

class USkinnedAsset;

class USkinnedMeshComponent : public USceneComponent
{
	STAND_IN_CLASS(USkinnedMeshComponent, USceneComponent)

public:
	USkinnedAsset* GetSkinnedAsset() const { return Asset; }
	void SetSkinnedAssetAndUpdate(USkinnedAsset* To) { Asset = To; }

private:
	USkinnedAsset* Asset = nullptr;
};
