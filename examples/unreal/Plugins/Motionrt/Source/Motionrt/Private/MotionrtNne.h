#pragma once

#include "CoreMinimal.h"

#define MRT_API
#include "motionrt.h"

/**
 * Runs a bundle's graphs by the engine's own inference (NNE) in place of the library's ONNX Runtime.
 *
 * The bundle is one that `motionrt lower --target unreal` wrote. Everything else (tokens, noise, schedule, constraints,
 * motion correction) is the library's, so that the motions are the same.
 */
class FMotionrtNne
{
public:
	/** A runtime of NNE that works on the CPU, by its name: NNERuntimeORTCpu. */
	explicit FMotionrtNne(const FString& InRuntime) : RuntimeName(InRuntime) {}

	const FString& GetRuntimeName() const { return RuntimeName; }
	/** What the library calls, in the thread that generates. This must outlive the pipeline that has it. */
	mrt_runner GetRunner();
	/** What went wrong last; empty if nothing did. */
	const FString& GetProblem() const { return Problem; }

private:
	static void* Open(void* User, const char* Name, const void* Onnx, size_t NumBytes);
	static bool Run(void* User, void* Opened, const mrt_tensor* Inputs, int32_t NumInputs, const mrt_tensor* Outputs,
		int32_t NumOutputs);
	static void Close(void* User, void* Opened);

	FString RuntimeName;
	FString Problem;
};
