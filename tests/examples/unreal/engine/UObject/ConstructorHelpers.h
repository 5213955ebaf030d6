#pragma once

#include "CoreMinimal.h"

struct ConstructorHelpers
{
	/** Finds what the test made. */
	template <class T>
	struct FObjectFinder
	{
		T* Object = Made;
		explicit FObjectFinder(const TCHAR*) {}
		bool Succeeded() const { return Object != nullptr; }
		static inline T* Made = nullptr;
	};
};
