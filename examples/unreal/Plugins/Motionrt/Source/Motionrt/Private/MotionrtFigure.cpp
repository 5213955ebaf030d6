#include "MotionrtFigure.h"

#include "Components/PoseableMeshComponent.h"
#include "Engine/SkeletalMesh.h"
#include "MotionrtComponent.h"
#include "UObject/ConstructorHelpers.h"

AMotionrtFigure::AMotionrtFigure()
{
	RootComponent = CreateDefaultSubobject<USceneComponent>(TEXT("Root"));
	Mesh = CreateDefaultSubobject<UPoseableMeshComponent>(TEXT("Mesh"));
	Mesh->SetupAttachment(RootComponent);
	Mesh->SetRelativeRotation(FRotator(0.0, -90.0, 0.0)); // mannequins face y, actors x
	// The engine brings it along; set the mesh to one of your own.
	static const ConstructorHelpers::FObjectFinder<USkeletalMesh> Mannequin(
		TEXT("/Engine/Tutorial/SubEditors/TutorialAssets/Character/TutorialTPP.TutorialTPP"));
	if (Mannequin.Succeeded())
	{
		Mesh->SetSkinnedAssetAndUpdate(Mannequin.Object);
	}
	Motionrt = CreateDefaultSubobject<UMotionrtComponent>(TEXT("Motionrt"));
}
