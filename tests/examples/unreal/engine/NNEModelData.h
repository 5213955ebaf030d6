#pragma once

#include "CoreMinimal.h"

class UNNEModelData : public UObject
{
	STAND_IN_CLASS(UNNEModelData, UObject)

public:
	void Init(const FString& Type, TConstArrayView64<uint8> Data)
	{
		FileType = Type;
		NumBytes = Data.Num();
	}
	/** All that the stand-in of a runtime needs to know which graph it is. */
	FString FileType;
	int64 NumBytes = 0;
};
