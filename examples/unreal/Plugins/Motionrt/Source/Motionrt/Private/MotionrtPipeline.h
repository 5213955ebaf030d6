#pragma once

#include "CoreMinimal.h"
#include "MotionrtNne.h"
#include "MotionrtRetarget.h"

#include <atomic>

// Its functions are looked up in the library when it is opened: none is imported.
#define MRT_API
#include "motionrt.h"

/** A motion that was generated. It does not change, and any thread may read it. */
class FMotionrtMotion
{
public:
	explicit FMotionrtMotion(mrt_motion* InHandle);
	~FMotionrtMotion();
	FMotionrtMotion(const FMotionrtMotion&) = delete;
	FMotionrtMotion& operator=(const FMotionrtMotion&) = delete;

	FMotionrtSkeleton GetSkeleton() const;
	FMotionrtPose Sample(double Seconds, uint32 Flags) const;
	/** What the actor moves and turns by, in its own space, before it is scaled. */
	FTransform RootMotion(double From, double To, uint32 Flags) const;

private:
	mrt_motion* Handle;
};

/** A bundle, loaded when it is first used. One motion at a time. */
class FMotionrtPipeline
{
public:
	/** InRuntime: what of NNE runs the graphs; empty: ONNX Runtime, which lies beside the library. */
	FMotionrtPipeline(const FString& InBundle, const FString& InRuntime) : Bundle(InBundle), Nne(InRuntime) {}
	~FMotionrtPipeline();
	FMotionrtPipeline(const FMotionrtPipeline&) = delete;
	FMotionrtPipeline& operator=(const FMotionrtPipeline&) = delete;

	/** Before Generate, in the thread that asks for progress. */
	void Begin() { Progress = 0.0f; }
	/** Takes long: for a thread of its own. Null with a line if it failed or was cancelled. */
	TSharedPtr<FMotionrtMotion, ESPMode::ThreadSafe> Generate(
		const FString& Prompt, const FString& Constraints, double Seconds, int64 Seed, FString& OutProblem);
	bool Has(const FString& OfBundle, const FString& OfRuntime) const
	{
		return Bundle.Equals(OfBundle) && Nne.GetRuntimeName().Equals(OfRuntime);
	}
	/** What is being generated ends within one step, and nothing more is made. */
	void Cancel() { bCancelled = true; }
	/** From 0 to 1, of the motion that is being made. */
	float GetProgress() const { return Progress; }

	/** The folder that `motionrt package` wrote. */
	static FString ShipFolder();

private:
	static bool Listen(void* User, const char* Stage, int32_t Done, int32_t Total);

	FString Bundle;
	FMotionrtNne Nne;
	mrt_pipeline* Handle = nullptr;
	std::atomic<bool> bCancelled{false};
	std::atomic<float> Progress{0.0f};
};
