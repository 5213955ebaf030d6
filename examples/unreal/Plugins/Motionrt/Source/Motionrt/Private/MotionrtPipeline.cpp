#include "MotionrtPipeline.h"

#include "HAL/PlatformProcess.h"
#include "Interfaces/IPluginManager.h"
#include "Misc/Paths.h"
#include "Misc/ScopeLock.h"

#include <string>

namespace
{
	/** The functions that are used, by name. */
#define MOTIONRT_FUNCTIONS(X) \
	X(mrt_last_error) \
	X(mrt_pipeline_load) \
	X(mrt_pipeline_free) \
	X(mrt_generate) \
	X(mrt_motion_free) \
	X(mrt_motion_skeleton) \
	X(mrt_motion_sample) \
	X(mrt_motion_root_delta) \
	X(mrt_skeleton_num_joints) \
	X(mrt_skeleton_joint_name) \
	X(mrt_skeleton_parents) \
	X(mrt_skeleton_rest_offsets)

	struct FLibrary
	{
#define MOTIONRT_DECLARE(Name) decltype(&::Name) Name = nullptr;
		MOTIONRT_FUNCTIONS(MOTIONRT_DECLARE)
#undef MOTIONRT_DECLARE

		/** Open it, once. It stays open: motions outlive worlds. */
		bool Open(FString& OutProblem)
		{
			FScopeLock Lock(&Guard);
			if (bOpen)
			{
				return true;
			}
#if PLATFORM_WINDOWS
			const TCHAR* Name = TEXT("motionrt.dll");
#elif PLATFORM_MAC
			const TCHAR* Name = TEXT("libmotionrt.dylib");
#else
			const TCHAR* Name = TEXT("libmotionrt.so");
#endif
			const FString Path = FPaths::Combine(FMotionrtPipeline::ShipFolder(), Name);
			void* Handle = FPlatformProcess::GetDllHandle(*Path);
			bOpen = Handle != nullptr;
#define MOTIONRT_LOOK_UP(Name) \
	Name = bOpen ? reinterpret_cast<decltype(Name)>(FPlatformProcess::GetDllExport(Handle, TEXT(#Name))) : nullptr; \
	bOpen = bOpen && Name != nullptr;
			MOTIONRT_FUNCTIONS(MOTIONRT_LOOK_UP)
#undef MOTIONRT_LOOK_UP
			if (!bOpen)
			{
				OutProblem = FString::Printf(TEXT("%s: no library of this version of motionrt"), *Path);
			}
			return bOpen;
		}

	private:
		FCriticalSection Guard;
		bool bOpen = false;
	};

	FLibrary Library;
#undef MOTIONRT_FUNCTIONS
}

FMotionrtMotion::FMotionrtMotion(mrt_motion* InHandle) : Handle(InHandle) {}

FMotionrtMotion::~FMotionrtMotion()
{
	Library.mrt_motion_free(Handle);
}

FMotionrtSkeleton FMotionrtMotion::GetSkeleton() const
{
	const mrt_skeleton* From = Library.mrt_motion_skeleton(Handle);
	FMotionrtSkeleton Skeleton;
	for (int32 Joint = 0; Joint < Library.mrt_skeleton_num_joints(From); ++Joint)
	{
		Skeleton.Names.Add(UTF8_TO_TCHAR(Library.mrt_skeleton_joint_name(From, Joint)));
		Skeleton.Parents.Add(Library.mrt_skeleton_parents(From)[Joint]);
		Skeleton.Offsets.Add(MotionrtAxes::Position(Library.mrt_skeleton_rest_offsets(From) + 3 * Joint));
	}
	return Skeleton;
}

FMotionrtPose FMotionrtMotion::Sample(double Seconds, uint32 Flags) const
{
	float Root[3] = {};
	TArray<float> Turns;
	const int32 NumJoints = Library.mrt_skeleton_num_joints(Library.mrt_motion_skeleton(Handle));
	Turns.SetNumZeroed(4 * NumJoints);
	Library.mrt_motion_sample(Handle, Seconds, Flags, Root, Turns.GetData());
	FMotionrtPose Pose;
	Pose.Root = MotionrtAxes::Position(Root);
	for (int32 Joint = 0; Joint < NumJoints; ++Joint)
	{
		Pose.Rotations.Add(MotionrtAxes::Rotation(Turns.GetData() + 4 * Joint));
	}
	return Pose;
}

FTransform FMotionrtMotion::RootMotion(double From, double To, uint32 Flags) const
{
	float Way[3] = {};
	float Turn = 0.0f;
	Library.mrt_motion_root_delta(Handle, From, To, Flags, Way, &Turn);
	const float AboutY[4] = {FMath::Cos(Turn / 2), 0.0f, FMath::Sin(Turn / 2), 0.0f};
	return FTransform(MotionrtAxes::Rotation(AboutY), MotionrtAxes::Position(Way));
}

FMotionrtPipeline::~FMotionrtPipeline()
{
	if (Handle != nullptr)
	{
		Library.mrt_pipeline_free(Handle);
	}
}

bool FMotionrtPipeline::Listen(void* User, const char* Stage, int32_t Done, int32_t Total)
{
	FMotionrtPipeline* Self = static_cast<FMotionrtPipeline*>(User);
	if (FCStringAnsi::Strcmp(Stage, "denoising") == 0)
	{
		Self->Progress = static_cast<float>(Done) / static_cast<float>(Total);
	}
	return !Self->bCancelled;
}

FString FMotionrtPipeline::ShipFolder()
{
	const FString Plugin = IPluginManager::Get().FindPlugin(TEXT("Motionrt"))->GetBaseDir();
	return FPaths::ConvertRelativePathToFull(FPaths::Combine(Plugin, TEXT("ThirdParty"), TEXT("motionrt")));
}

TSharedPtr<FMotionrtMotion, ESPMode::ThreadSafe> FMotionrtPipeline::Generate(
	const FString& Prompt, const FString& Constraints, double Seconds, int64 Seed, FString& OutProblem)
{
	if (!Library.Open(OutProblem))
	{
		return nullptr;
	}
	mrt_status Status = MRT_OK;
	mrt_motion* Made = nullptr;
	if (Handle == nullptr)
	{
		const FString Folder = FPaths::Combine(ShipFolder(), Bundle);
		mrt_load_options Options;
		mrt_load_options_init(&Options);
		const mrt_runner Runner = Nne.GetRunner();
		Options.runner = Nne.GetRuntimeName().IsEmpty() ? nullptr : &Runner;
		Status = Library.mrt_pipeline_load(TCHAR_TO_UTF8(*Folder), &Options, &Handle);
	}
	if (Status == MRT_OK)
	{
		mrt_generate_options Options;
		mrt_generate_options_init(&Options);
		Options.seconds = Seconds;
		Options.seed = Seed;
		Options.progress = Listen;
		Options.progress_user = this;
		const std::string Held = TCHAR_TO_UTF8(*Constraints);
		Options.constraints_json = Constraints.IsEmpty() ? nullptr : Held.c_str();
		Status = Library.mrt_generate(Handle, TCHAR_TO_UTF8(*Prompt), &Options, &Made);
	}
	if (Status != MRT_OK)
	{
		OutProblem = UTF8_TO_TCHAR(Library.mrt_last_error());
		if (!Nne.GetProblem().IsEmpty())
		{
			OutProblem = FString::Printf(TEXT("%s: %s"), *OutProblem, *Nne.GetProblem());
		}
		return nullptr;
	}
	return MakeShared<FMotionrtMotion, ESPMode::ThreadSafe>(Made);
}
