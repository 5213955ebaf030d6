#pragma once

#include "CoreMinimal.h"

class FScopeLock
{
public:
	explicit FScopeLock(FCriticalSection* Guard) : Lock(*Guard) {}

private:
	std::lock_guard<FCriticalSection> Lock;
};
