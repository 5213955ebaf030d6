#pragma once

#include "CoreMinimal.h"
#include "Animation/PoseSnapshot.h"
#include "Async/Future.h"
#include "Components/ActorComponent.h"
#include "MotionrtRetarget.h"

#include "MotionrtComponent.generated.h"

class FMotionrtMotion;
class FMotionrtPipeline;
class USkinnedMeshComponent;

DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FMotionrtStarted, FString, Prompt);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FMotionrtFailed, FString, Problem);

/**
 * Plays prompts on the actor's mesh.
 *
 * A PoseableMesh component is posed by it. For a SkeletalMesh component, put a Pose Snapshot node into its animation
 * blueprint, with this component's Snapshot at the pin. Motions are generated in a thread of their own; what plays goes on
 * until the next is ready, and is blended into it.
 */
UCLASS(ClassGroup = (Animation), meta = (BlueprintSpawnableComponent))
class MOTIONRT_API UMotionrtComponent : public UActorComponent
{
	GENERATED_BODY()

public:
	UMotionrtComponent();

	/** A folder of the plugin's ThirdParty/motionrt. Another one is loaded at the next Play. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "motionrt")
	FString Bundle = TEXT("motionrt-default");

	/**
	 * A runtime of the engine's own inference that runs the graphs, as NNERuntimeORTCpu, for a bundle that was lowered
	 * (`motionrt lower --target unreal`). Empty: ONNX Runtime, which lies beside the library.
	 */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "motionrt")
	FString NneRuntime;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "motionrt")
	FString Prompt = TEXT("a person walks forward");

	/**
	 * Where the body shall be at some frames: a constraint file's content (JSON), or nothing. In motionrt's axes: metres
	 * of the model's body, x to its left, y up, z ahead.
	 */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "motionrt", meta = (MultiLine = true))
	FString Constraints;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "motionrt")
	float Seconds = 4.0f;

	/** -1 draws one. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "motionrt")
	int64 Seed = -1;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "motionrt")
	bool bLoop = true;

	/** Keep the actor where it stands; off: root motion carries it along. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "motionrt")
	bool bInPlace = false;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "motionrt")
	float BlendSeconds = 0.25f;

	/** The model's joints by name -> the mesh's bones by name, where they are not found. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "motionrt")
	TMap<FName, FName> BoneMap;

	/** The pose of this frame, for a Pose Snapshot node. */
	UPROPERTY(BlueprintReadOnly, Category = "motionrt")
	FPoseSnapshot Snapshot;

	UPROPERTY(BlueprintAssignable, Category = "motionrt")
	FMotionrtStarted OnStarted;

	UPROPERTY(BlueprintAssignable, Category = "motionrt")
	FMotionrtFailed OnFailed;

	/** Generate a motion and play it when it is ready. False if one is being made already. */
	UFUNCTION(BlueprintCallable, Category = "motionrt")
	bool Play(const FString& Text);

	UFUNCTION(BlueprintPure, Category = "motionrt")
	bool IsGenerating() const { return Coming.IsValid(); }

	/** From 0 to 1, of the motion that is being made. */
	UFUNCTION(BlueprintPure, Category = "motionrt")
	float GetProgress() const;

	virtual void BeginPlay() override;
	virtual void EndPlay(const EEndPlayReason::Type Reason) override;
	virtual void TickComponent(
		float DeltaTime, ELevelTick TickType, FActorComponentTickFunction* ThisTickFunction) override;

protected:
	/** Root motion, in the actor's space. Override it to move a character by its movement component. */
	virtual void Move(const FTransform& Delta);

private:
	using FMotionPtr = TSharedPtr<FMotionrtMotion, ESPMode::ThreadSafe>;
	struct FMade
	{
		FMotionPtr Motion;
		FString Prompt;
		FString Problem;
	};

	void Take(const FMade& Made);
	bool Bind(const FMotionrtMotion& Made, FString& OutProblem);

	UPROPERTY(Transient)
	TObjectPtr<USkinnedMeshComponent> Mesh;

	TSharedPtr<FMotionrtPipeline, ESPMode::ThreadSafe> Pipeline;
	TFuture<FMade> Coming;
	FMotionPtr Motion;
	FMotionPtr Last;
	double Time = 0.0;
	double LastTime = 0.0;
	bool bBound = false;
	FMotionrtRetarget Retarget;
};
