#pragma once

#include "Components/SceneComponent.h"

class AActor : public UObject
{
	STAND_IN_CLASS(AActor, UObject)

public:
	template <class T>
	T* CreateDefaultSubobject(const TCHAR* Called)
	{
		auto Made = std::make_unique<T>();
		Made->Name = Called;
		Made->Owner = this;
		T* Given = Made.get();
		Components.push_back(std::move(Made));
		return Given;
	}
	template <class T>
	T* FindComponentByClass() const
	{
		for (const auto& Component : Components)
		{
			if (T* Found = Cast<T>(Component.get()))
			{
				return Found;
			}
		}
		return nullptr;
	}
	const FTransform& GetActorTransform() const { return RootComponent->GetComponentTransform(); }
	/** Without the scale, as the engine moves actors. */
	void AddActorLocalTransform(const FTransform& Delta)
	{
		const FTransform At = RootComponent->GetComponentTransform();
		const FTransform Moved = Delta * FTransform(At.GetRotation(), At.GetLocation());
		RootComponent->Relative = FTransform(Moved.GetRotation(), Moved.GetLocation(), At.GetScale3D());
	}

	std::vector<std::unique_ptr<UActorComponent>> Components;

protected:
	USceneComponent* RootComponent = nullptr;
};

inline AActor* UActorComponent::GetOwner() const
{
	return Owner;
}
