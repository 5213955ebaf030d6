#pragma once

#include "CoreMinimal.h"
#include "AnimGraphNode_Base.h"
#include "AnimNode_Motionrt.h"

#include "AnimGraphNode_Motionrt.generated.h"

/** FAnimNode_Motionrt in the editor's graph of an animation blueprint. */
UCLASS()
class MOTIONRTEDITOR_API UAnimGraphNode_Motionrt : public UAnimGraphNode_Base
{
	GENERATED_BODY()

public:
	UPROPERTY(EditAnywhere, Category = "Settings")
	FAnimNode_Motionrt Node;

	virtual FText GetNodeTitle(ENodeTitleType::Type TitleType) const override;
	virtual FText GetTooltipText() const override;
	virtual FString GetNodeCategory() const override;
};
