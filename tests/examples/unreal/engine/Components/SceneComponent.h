#pragma once

#include "Components/ActorComponent.h"

class USceneComponent : public UActorComponent
{
	STAND_IN_CLASS(USceneComponent, UActorComponent)

public:
	void SetupAttachment(USceneComponent* To) { Above = To; }
	const FTransform& GetComponentTransform() const
	{
		World = Above ? Relative * Above->GetComponentTransform() : Relative;
		return World;
	}
	/** The yaw alone. */
	void SetRelativeRotation(const FRotator& To)
	{
		constexpr double Degree = 3.14159265358979323846 / 180.0;
		Relative.SetRotation(FQuat(FVector(0, 0, 1), To.Yaw * Degree));
	}

	FTransform Relative;

private:
	USceneComponent* Above = nullptr;
	mutable FTransform World;
};
