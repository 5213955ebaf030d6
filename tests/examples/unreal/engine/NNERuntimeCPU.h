// A runtime of NNE, as far as examples/unreal uses one. The one here hands its tensors to whom is at the other end of
// standard input and output, who runs the graph with onnxruntime; GRAPHS, a file, says what each graph takes and gives.
//
// A line of it is: the bytes of a graph's file, in or out, a name, a type. A message is: that number as a text, how many
// inputs, and of each its name, whether it holds integers, its axes and its numbers, 4 bytes each. Then each output is
// asked for by its name; back come whether it holds integers, its axes and its numbers.
#pragma once

#include "NNEModelData.h"
#include "NNETypes.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace UE::NNE
{
struct FTensorBindingCPU
{
	void* Data;
	uint64 SizeInBytes;
};

class IModelInstanceCPU
{
public:
	enum class ESetInputTensorShapesStatus : uint8 { Ok, Fail };
	enum class ERunSyncStatus : uint8 { Ok, Fail };

	explicit IModelInstanceCPU(const std::string& InGraph) : Graph(InGraph)
	{
		std::ifstream Lines(std::getenv("GRAPHS"));
		std::string Size, Way, Name, Type;
		while (Lines >> Size >> Way >> Name >> Type)
		{
			const ENNETensorDataType Kind = Type == "float32" ? ENNETensorDataType::Float
				: Type == "int64"							  ? ENNETensorDataType::Int64
															  : ENNETensorDataType::Boolean;
			if (Size == Graph)
			{
				(Way == "in" ? Inputs : Outputs).Add(FTensorDesc(UTF8_TO_TCHAR(Name.c_str()), Kind));
			}
		}
	}
	TConstArrayView<FTensorDesc> GetInputTensorDescs() const { return Inputs; }
	TConstArrayView<FTensorDesc> GetOutputTensorDescs() const { return Outputs; }

	ESetInputTensorShapesStatus SetInputTensorShapes(TConstArrayView<FTensorShape> Given)
	{
		if (Given.Num() != Inputs.Num())
		{
			return ESetInputTensorShapesStatus::Fail;
		}
		Shapes.Reset();
		for (const FTensorShape& Shape : Given)
		{
			Shapes.Add(Shape);
		}
		return ESetInputTensorShapesStatus::Ok;
	}

	ERunSyncStatus RunSync(TConstArrayView<FTensorBindingCPU> In, TConstArrayView<FTensorBindingCPU> Out)
	{
		if (In.Num() != Shapes.Num() || Shapes.Num() == 0 || Out.Num() != Outputs.Num())
		{
			return ERunSyncStatus::Fail;
		}
		Text(Graph);
		Int(Inputs.Num());
		for (int32 Index = 0; Index < Inputs.Num(); ++Index)
		{
			const ENNETensorDataType Type = Inputs[Index].GetDataType();
			if (In[Index].SizeInBytes != Shapes[Index].Volume() * BytesOf(Type))
			{
				return ERunSyncStatus::Fail;
			}
			Text(TCHAR_TO_UTF8(*Inputs[Index].GetName()));
			std::fputc(Type == ENNETensorDataType::Float ? 0 : 1, stdout);
			Int(Shapes[Index].GetData().Num());
			for (const uint32 Axis : Shapes[Index].GetData())
			{
				Int(static_cast<int32>(Axis));
			}
			for (uint64 At = 0; At < Shapes[Index].Volume(); ++At)
			{
				Send(In[Index].Data, At, Type);
			}
		}
		for (int32 Index = 0; Index < Outputs.Num(); ++Index)
		{
			Text(TCHAR_TO_UTF8(*Outputs[Index].GetName()));
			std::fflush(stdout);
			std::fgetc(stdin);
			uint64 Count = 1;
			for (int32 Rank = Int(); Rank > 0; --Rank)
			{
				Count *= static_cast<uint64>(Int());
			}
			const ENNETensorDataType Type = Outputs[Index].GetDataType();
			if (Out[Index].SizeInBytes < Count * BytesOf(Type))
			{
				return ERunSyncStatus::Fail;
			}
			for (uint64 At = 0; At < Count; ++At)
			{
				Receive(Out[Index].Data, At, Type);
			}
		}
		return ERunSyncStatus::Ok;
	}

private:
	static uint64 BytesOf(ENNETensorDataType Type)
	{
		return Type == ENNETensorDataType::Boolean ? 1 : Type == ENNETensorDataType::Int64 ? 8 : 4;
	}
	static void Text(const std::string& What)
	{
		std::fputc(static_cast<int>(What.size()), stdout);
		std::fwrite(What.data(), 1, What.size(), stdout);
	}
	static void Int(int32 Number) { std::fwrite(&Number, 4, 1, stdout); }
	static int32 Int()
	{
		int32 Number = 0;
		if (std::fread(&Number, 4, 1, stdin) != 1)
		{
			std::abort();
		}
		return Number;
	}
	static void Send(const void* From, uint64 At, ENNETensorDataType Type)
	{
		const auto* Bytes = static_cast<const char*>(From) + At * BytesOf(Type);
		if (Type == ENNETensorDataType::Float)
		{
			std::fwrite(Bytes, 4, 1, stdout);
			return;
		}
		int64 Whole = *Bytes;
		if (Type == ENNETensorDataType::Int64)
		{
			std::memcpy(&Whole, Bytes, 8);
		}
		Int(static_cast<int32>(Whole));
	}
	static void Receive(void* To, uint64 At, ENNETensorDataType Type)
	{
		auto* Bytes = static_cast<char*>(To) + At * BytesOf(Type);
		const int32 Number = Int();
		const int64 Whole = Number;
		if (Type == ENNETensorDataType::Boolean)
		{
			*Bytes = static_cast<char>(Number);
		}
		else
		{
			std::memcpy(Bytes, Type == ENNETensorDataType::Int64 ? static_cast<const void*>(&Whole) : &Number, BytesOf(Type));
		}
	}

	std::string Graph;
	TArray<FTensorDesc> Inputs, Outputs;
	TArray<FTensorShape> Shapes;
};

class IModelCPU
{
public:
	explicit IModelCPU(const std::string& InGraph) : Graph(InGraph) {}
	TSharedPtr<IModelInstanceCPU> CreateModelInstanceCPU() { return MakeShared<IModelInstanceCPU>(Graph); }

private:
	std::string Graph;
};
}

class INNERuntimeCPU
{
public:
	enum class ECanCreateModelCPUStatus : uint8 { Ok, Fail };
	ECanCreateModelCPUStatus CanCreateModelCPU(const TObjectPtr<UNNEModelData> Data) const
	{
		return Data->FileType.Equals(TEXT("onnx")) ? ECanCreateModelCPUStatus::Ok : ECanCreateModelCPUStatus::Fail;
	}
	TSharedPtr<UE::NNE::IModelCPU> CreateModelCPU(const TObjectPtr<UNNEModelData> Data)
	{
		return MakeShared<UE::NNE::IModelCPU>(std::to_string(Data->NumBytes));
	}
};
