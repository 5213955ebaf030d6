#pragma once

#include "CoreMinimal.h"

/** In another thread than the game's: only while nothing is collected. */
template <class T>
T* NewObject()
{
	if (GNumGuards == 0)
	{
		std::abort();
	}
	GCollected.push_back(std::make_unique<T>());
	return static_cast<T*>(GCollected.back().get());
}
