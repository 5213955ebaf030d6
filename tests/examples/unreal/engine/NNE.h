#pragma once

#include "CoreMinimal.h"

namespace UE::NNE
{
/** There is one runtime, and it is for the CPU. */
template <class T>
TWeakInterfacePtr<T> GetRuntime(const FString& Name)
{
	static T Runtime;
	return TWeakInterfacePtr<T>(Name.Equals(TEXT("NNERuntimeORTCpu")) ? &Runtime : nullptr);
}
}
