#pragma once

#include "CoreMinimal.h"

class AActor;

class UAnimInstance : public UObject
{
	STAND_IN_CLASS(UAnimInstance, UObject)

public:
	AActor* GetOwningActor() const { return Owner; }

	AActor* Owner = nullptr;
};
