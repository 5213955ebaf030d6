#pragma once

#include "CoreMinimal.h"
#include "GameFramework/Actor.h"

#include "MotionrtFigure.generated.h"

class UMotionrtComponent;
class UPoseableMeshComponent;

/** A mannequin that does what its component's prompt says: drag it into a level and press Play. */
UCLASS()
class MOTIONRT_API AMotionrtFigure : public AActor
{
	GENERATED_BODY()

public:
	AMotionrtFigure();

	UPROPERTY(VisibleAnywhere, BlueprintReadOnly, Category = "motionrt")
	TObjectPtr<UPoseableMeshComponent> Mesh;

	UPROPERTY(VisibleAnywhere, BlueprintReadOnly, Category = "motionrt")
	TObjectPtr<UMotionrtComponent> Motionrt;
};
