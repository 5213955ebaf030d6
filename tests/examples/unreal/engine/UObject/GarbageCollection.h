#pragma once

#include "CoreMinimal.h"

/** While one lives, nothing is collected. */
class FGCScopeGuard
{
public:
	FGCScopeGuard() { ++GNumGuards; }
	~FGCScopeGuard() { --GNumGuards; }
	FGCScopeGuard(const FGCScopeGuard&) = delete;
	FGCScopeGuard& operator=(const FGCScopeGuard&) = delete;
};
