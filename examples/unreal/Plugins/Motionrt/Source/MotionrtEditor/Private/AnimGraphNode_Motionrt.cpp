#include "AnimGraphNode_Motionrt.h"

FText UAnimGraphNode_Motionrt::GetNodeTitle(ENodeTitleType::Type) const
{
	return FText::FromString(TEXT("Motionrt"));
}

FText UAnimGraphNode_Motionrt::GetTooltipText() const
{
	return FText::FromString(TEXT("The pose that the owner's Motionrt component plays."));
}

FString UAnimGraphNode_Motionrt::GetNodeCategory() const
{
	return TEXT("Animation|motionrt");
}
