#pragma once

#include "CoreMinimal.h"

struct FPaths
{
	template <class... T>
	static FString Combine(const FString& First, const T&... Rest)
	{
		FString Path = First;
		for (const FString& Part : {FString(Rest)...})
		{
			Path = FString::Printf(TEXT("%s/%s"), *Path, *Part);
		}
		return Path;
	}
	static FString ConvertRelativePathToFull(const FString& Path) { return Path; }
};
