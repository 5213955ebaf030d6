#pragma once

#include "CoreMinimal.h"

enum class ENNETensorDataType : uint8 { None, Float, Int64, Boolean };

namespace UE::NNE
{
class FTensorShape
{
public:
	static FTensorShape Make(const TArray<uint32>& Axes)
	{
		FTensorShape Made;
		Made.Axes = Axes;
		return Made;
	}
	TConstArrayView<uint32> GetData() const { return Axes; }
	uint64 Volume() const
	{
		uint64 Count = 1;
		for (const uint32 Axis : Axes)
		{
			Count *= Axis;
		}
		return Count;
	}
	bool operator==(const FTensorShape& Other) const { return Axes == Other.Axes; }

private:
	TArray<uint32> Axes;
};

class FTensorDesc
{
public:
	FTensorDesc(const FString& InName, ENNETensorDataType InType) : Name(InName), Type(InType) {}
	const FString& GetName() const { return Name; }
	ENNETensorDataType GetDataType() const { return Type; }

private:
	FString Name;
	ENNETensorDataType Type;
};
}
