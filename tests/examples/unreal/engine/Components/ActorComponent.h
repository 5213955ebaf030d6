#pragma once

#include "CoreMinimal.h"

class AActor;
enum ELevelTick { LEVELTICK_All };
struct FActorComponentTickFunction
{
	bool bCanEverTick = false;
};
namespace EEndPlayReason
{
	enum Type { Destroyed, RemovedFromWorld };
}

class UActorComponent : public UObject
{
	STAND_IN_CLASS(UActorComponent, UObject)

public:
	AActor* GetOwner() const;
	virtual void BeginPlay() {}
	virtual void EndPlay(const EEndPlayReason::Type) {}
	virtual void TickComponent(float, ELevelTick, FActorComponentTickFunction*) {}

	FActorComponentTickFunction PrimaryComponentTick;
	AActor* Owner = nullptr;
};
