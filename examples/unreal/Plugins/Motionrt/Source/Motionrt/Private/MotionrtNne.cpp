#include "MotionrtNne.h"

#if MOTIONRT_WITH_NNE
#include "NNE.h"
#include "NNEModelData.h"
#include "NNERuntimeCPU.h"
#include "NNETypes.h"
#include "UObject/GarbageCollection.h"
#include "UObject/UObjectGlobals.h"
#endif

mrt_runner FMotionrtNne::GetRunner()
{
	mrt_runner Runner;
	mrt_runner_init(&Runner);
	Runner.user = this;
	Runner.open = Open;
	Runner.run = Run;
	Runner.close = Close;
	return Runner;
}

#if MOTIONRT_WITH_NNE

namespace
{
	struct FMotionrtGraph
	{
		TSharedPtr<UE::NNE::IModelInstanceCPU> Instance;
		/** Those that were set; setting them again may cost as much as a run. */
		TArray<UE::NNE::FTensorShape> Shapes;
	};

	uint64 SizeInBytes(const mrt_tensor& Tensor)
	{
		uint64 Size = Tensor.type == MRT_BOOL ? 1 : Tensor.type == MRT_INT64 ? 8 : 4;
		for (int32 Axis = 0; Axis < Tensor.rank; ++Axis)
		{
			Size *= static_cast<uint64>(Tensor.dims[Axis]);
		}
		return Size;
	}

	/** Tensors in the order that a graph has them in; false if it has one that is not there. */
	bool Order(TConstArrayView<UE::NNE::FTensorDesc> Descs, const mrt_tensor* Tensors, int32 NumTensors,
		TArray<UE::NNE::FTensorBindingCPU>& OutBindings, TArray<UE::NNE::FTensorShape>& OutShapes)
	{
		for (const UE::NNE::FTensorDesc& Desc : Descs)
		{
			int32 Index = 0;
			while (Index < NumTensors && !Desc.GetName().Equals(UTF8_TO_TCHAR(Tensors[Index].name)))
			{
				++Index;
			}
			if (Index == NumTensors)
			{
				return false;
			}
			const mrt_tensor& Tensor = Tensors[Index];
			TArray<uint32> Axes;
			for (int32 Axis = 0; Axis < Tensor.rank; ++Axis)
			{
				Axes.Add(static_cast<uint32>(Tensor.dims[Axis]));
			}
			OutShapes.Add(UE::NNE::FTensorShape::Make(Axes));
			OutBindings.Add({Tensor.data, SizeInBytes(Tensor)});
		}
		return true;
	}
}

void* FMotionrtNne::Open(void* User, const char* Name, const void* Onnx, size_t NumBytes)
{
	FMotionrtNne* Self = static_cast<FMotionrtNne*>(User);
	const TWeakInterfacePtr<INNERuntimeCPU> Runtime = UE::NNE::GetRuntime<INNERuntimeCPU>(Self->RuntimeName);
	if (!Runtime.IsValid())
	{
		Self->Problem = FString::Printf(
			TEXT("NNE has no runtime %s for the CPU; enable the plugin that brings it"), *Self->RuntimeName);
		return nullptr;
	}
	TSharedPtr<UE::NNE::IModelCPU> Model;
	{
		// This is not the game's thread: nothing is collected meanwhile, and the data may be afterwards.
		const FGCScopeGuard Guard;
		UNNEModelData* Data = NewObject<UNNEModelData>();
		Data->Init(TEXT("onnx"), TConstArrayView64<uint8>(static_cast<const uint8*>(Onnx), static_cast<int64>(NumBytes)));
		if (Runtime->CanCreateModelCPU(Data) == INNERuntimeCPU::ECanCreateModelCPUStatus::Ok)
		{
			Model = Runtime->CreateModelCPU(Data);
		}
		Data->ClearInternalFlags(EInternalObjectFlags::Async);
	}
	TSharedPtr<UE::NNE::IModelInstanceCPU> Instance;
	if (Model.IsValid())
	{
		Instance = Model->CreateModelInstanceCPU();
	}
	if (!Instance.IsValid())
	{
		Self->Problem =
			FString::Printf(TEXT("%s does not take the graph %s"), *Self->RuntimeName, *FString(UTF8_TO_TCHAR(Name)));
		return nullptr;
	}
	FMotionrtGraph* Graph = new FMotionrtGraph;
	Graph->Instance = Instance;
	return Graph;
}

bool FMotionrtNne::Run(void* User, void* Opened, const mrt_tensor* Inputs, int32_t NumInputs, const mrt_tensor* Outputs,
	int32_t NumOutputs)
{
	FMotionrtNne* Self = static_cast<FMotionrtNne*>(User);
	FMotionrtGraph* Graph = static_cast<FMotionrtGraph*>(Opened);
	UE::NNE::IModelInstanceCPU& Instance = *Graph->Instance;
	TArray<UE::NNE::FTensorBindingCPU> Given;
	TArray<UE::NNE::FTensorBindingCPU> Wanted;
	TArray<UE::NNE::FTensorShape> Shapes;
	TArray<UE::NNE::FTensorShape> Made;
	if (!Order(Instance.GetInputTensorDescs(), Inputs, NumInputs, Given, Shapes) ||
		!Order(Instance.GetOutputTensorDescs(), Outputs, NumOutputs, Wanted, Made))
	{
		Self->Problem = TEXT("a graph has other inputs and outputs than its manifest says");
		return false;
	}
	if (!(Shapes == Graph->Shapes))
	{
		if (Instance.SetInputTensorShapes(Shapes) != UE::NNE::IModelInstanceCPU::ESetInputTensorShapesStatus::Ok)
		{
			Self->Problem = TEXT("a graph does not take the shapes that it is given");
			return false;
		}
		Graph->Shapes = Shapes;
	}
	if (Instance.RunSync(Given, Wanted) != UE::NNE::IModelInstanceCPU::ERunSyncStatus::Ok)
	{
		Self->Problem = FString::Printf(TEXT("%s could not run a graph; the log says why"), *Self->RuntimeName);
		return false;
	}
	return true;
}

void FMotionrtNne::Close(void* User, void* Opened)
{
	(void)User;
	delete static_cast<FMotionrtGraph*>(Opened);
}

#else

void* FMotionrtNne::Open(void* User, const char* Name, const void* Onnx, size_t NumBytes)
{
	(void)Name, (void)Onnx, (void)NumBytes;
	static_cast<FMotionrtNne*>(User)->Problem = TEXT("NNE is used in Unreal 5.4 and later; leave NneRuntime empty");
	return nullptr;
}

bool FMotionrtNne::Run(void*, void*, const mrt_tensor*, int32_t, const mrt_tensor*, int32_t)
{
	return false;
}

void FMotionrtNne::Close(void*, void*) {}

#endif
