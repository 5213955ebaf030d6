#pragma once

#include "CoreMinimal.h"

namespace ENodeTitleType
{
	enum Type { FullTitle };
}

class UAnimGraphNode_Base : public UObject
{
	STAND_IN_CLASS(UAnimGraphNode_Base, UObject)

public:
	virtual FText GetNodeTitle(ENodeTitleType::Type) const { return FText(); }
	virtual FText GetTooltipText() const { return FText(); }
	virtual FString GetNodeCategory() const { return FString(); }
};
