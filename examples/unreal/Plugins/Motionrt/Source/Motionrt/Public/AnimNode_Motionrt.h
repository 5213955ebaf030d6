#pragma once

#include "CoreMinimal.h"
#include "Animation/AnimNodeBase.h"

#include "AnimNode_Motionrt.generated.h"

class UAnimInstance;

/**
 * The pose that the owner's Motionrt component plays, as a node of an animation blueprint: blend it, layer it, put IK
 * behind it. Without a motion it gives the rest pose.
 */
USTRUCT(BlueprintInternalUseOnly)
struct MOTIONRT_API FAnimNode_Motionrt : public FAnimNode_Base
{
	GENERATED_BODY()

public:
	virtual bool HasPreUpdate() const override { return true; }
	/** In the game thread: takes the component's pose of this frame, for the thread that evaluates. */
	virtual void PreUpdate(const UAnimInstance* Instance) override;
	virtual void Evaluate_AnyThread(FPoseContext& Output) override;

private:
	/** Of every bone of the mesh, from its parent; empty without a motion. */
	TArray<FTransform> Bones;
};
