#include "MotionrtRetarget.h"

#include "ReferenceSkeleton.h"

namespace
{
	struct FRole
	{
		const TCHAR* Name;
		TArray<FString> Candidates;
	};

	/**
	 * Names of joints and bones, without case, blanks and prefixes: * is left or right, + is l or r. The first that is
	 * there and not taken is it, from the top: "leftleg" is a thigh in SOMA and a shin in Mixamo's.
	 */
	const TArray<FRole>& Roles()
	{
		static const TArray<FRole> Table = {
			{TEXT("hips"), {TEXT("hips"), TEXT("pelvis"), TEXT("hip")}},
			{TEXT("spine"), {TEXT("spine"), TEXT("spine01"), TEXT("spine1")}},
			{TEXT("chest"), {TEXT("spine1"), TEXT("spine02"), TEXT("spine2"), TEXT("chest")}},
			{TEXT("upperchest"), {TEXT("spine2"), TEXT("spine03"), TEXT("spine3"), TEXT("upperchest"), TEXT("chest")}},
			{TEXT("neck"), {TEXT("neck"), TEXT("neck01"), TEXT("neck1")}},
			{TEXT("head"), {TEXT("head")}},
			{TEXT("*shoulder"), {TEXT("*collar"), TEXT("clavicle+"), TEXT("*shoulder")}},
			{TEXT("*upperarm"), {TEXT("*arm"), TEXT("*upperarm"), TEXT("upperarm+"), TEXT("*shoulder")}},
			{TEXT("*lowerarm"), {TEXT("*forearm"), TEXT("*lowerarm"), TEXT("lowerarm+"), TEXT("*elbow")}},
			{TEXT("*hand"), {TEXT("*hand"), TEXT("hand+"), TEXT("*wrist")}},
			{TEXT("*lowerleg"), {TEXT("*shin"), TEXT("*lowerleg"), TEXT("calf+"), TEXT("*knee"), TEXT("*leg")}},
			{TEXT("*upperleg"), {TEXT("*upleg"), TEXT("*upperleg"), TEXT("thigh+"), TEXT("*hip"), TEXT("*leg")}},
			{TEXT("*foot"), {TEXT("*ankle"), TEXT("*foot"), TEXT("foot+")}},
			{TEXT("*toes"), {TEXT("*toebase"), TEXT("*toe"), TEXT("*toes"), TEXT("ball+"), TEXT("*foot")}},
		};
		return Table;
	}

	const TArray<FString> Arm = {TEXT("*upperarm"), TEXT("*lowerarm"), TEXT("*hand")};
	const TArray<FString> Leg = {TEXT("*upperleg"), TEXT("*lowerleg"), TEXT("*foot")};

	FString OfSide(const FString& Name, const FString& Side)
	{
		return Name.Replace(TEXT("*"), *Side).Replace(TEXT("+"), *Side.Left(1));
	}

	/** "mixamorig:LeftArm", "LeftArm" and "left_arm" are one name. */
	FString Plain(const FString& Name)
	{
		FString Short = Name.ToLower().Replace(TEXT("mixamorig"), TEXT(""));
		for (const TCHAR* Mark : {TEXT("_"), TEXT("-"), TEXT("."), TEXT(":"), TEXT(" ")})
		{
			Short = Short.Replace(Mark, TEXT(""));
		}
		return Short;
	}

	TMap<FString, int32> FindRoles(const TArray<FString>& Names)
	{
		TMap<FString, int32> Found;
		for (int32 Index = 0; Index < Names.Num(); ++Index)
		{
			Found.Add(Plain(Names[Index]), Index);
		}
		TMap<FString, int32> Filled;
		for (const FRole& Role : Roles())
		{
			for (const TCHAR* Side : {TEXT("left"), TEXT("right")})
			{
				const FString Name = OfSide(Role.Name, Side);
				for (const FString& Candidate : Role.Candidates)
				{
					const FString Wanted = OfSide(Candidate, Side);
					const int32* Index = Filled.Contains(Name) ? nullptr : Found.Find(Wanted);
					if (Index != nullptr)
					{
						Filled.Add(Name, *Index);
						Found.Remove(Wanted);
					}
				}
			}
		}
		return Filled;
	}

	/** A joint and the bone that follows it. */
	struct FPair
	{
		int32 Joint;
		int32 Bone;
	};

	/** The arms or legs that both have, in threes. */
	TArray<TArray<FPair>> Limbs(const TArray<FString>& Parts, const TMap<FString, FPair>& Pairs)
	{
		TArray<TArray<FPair>> Found;
		for (const TCHAR* Side : {TEXT("left"), TEXT("right")})
		{
			TArray<FPair> Limb;
			for (const FString& Part : Parts)
			{
				if (const FPair* Pair = Pairs.Find(OfSide(Part, Side)))
				{
					Limb.Add(*Pair);
				}
			}
			if (Limb.Num() == 3)
			{
				Found.Add(Limb);
			}
		}
		return Found;
	}
}

void FMotionrtPose::Blend(const FMotionrtPose& To, double Share)
{
	Root = FMath::Lerp(Root, To.Root, Share);
	for (int32 Joint = 0; Joint < Rotations.Num(); ++Joint)
	{
		Rotations[Joint] = FQuat::Slerp(Rotations[Joint], To.Rotations[Joint], Share);
	}
}

bool FMotionrtRetarget::Bind(const FMotionrtSkeleton& Skeleton, const FReferenceSkeleton& Mesh, const FQuat& InSpace,
	const TMap<FName, FName>& BoneMap, FString& OutProblem)
{
	Space = InSpace;
	Parents = Skeleton.Parents;
	TArray<FVector> Places; // of joints, in the T-pose
	for (int32 Joint = 0; Joint < Parents.Num(); ++Joint)
	{
		const FVector From = Parents[Joint] < 0 ? FVector::ZeroVector : Places[Parents[Joint]];
		Places.Add(From + Skeleton.Offsets[Joint]);
	}
	Bones.Reset();
	TArray<FString> BoneNames;
	TArray<FTransform> Rests; // in the component's space
	for (int32 Index = 0; Index < Mesh.GetNum(); ++Index)
	{
		FBone Bone;
		Bone.Rest = Mesh.GetRefBonePose()[Index];
		Bone.Parent = Mesh.GetParentIndex(Index);
		Rests.Add(Bone.Parent < 0 ? Bone.Rest : Bone.Rest * Rests[Bone.Parent]);
		Bone.Turned = Rests[Index].GetRotation();
		Bones.Add(Bone);
		BoneNames.Add(Mesh.GetBoneName(Index).ToString());
	}

	const TMap<FString, int32> Ours = FindRoles(Skeleton.Names);
	const TMap<FString, int32> Theirs = FindRoles(BoneNames);
	TMap<FString, FPair> Pairs;
	TArray<bool> Bound;
	Bound.SetNumZeroed(Parents.Num());
	for (const auto& Role : Ours)
	{
		int32 Bone = INDEX_NONE;
		if (const FName* Named = BoneMap.Find(FName(*Skeleton.Names[Role.Value])))
		{
			Bone = Mesh.FindBoneIndex(*Named);
		}
		else if (const int32* Index = Theirs.Find(Role.Key))
		{
			Bone = *Index;
		}
		if (Bone != INDEX_NONE)
		{
			Pairs.Add(Role.Key, FPair{Role.Value, Bone});
			Bones[Bone].Joint = Role.Value;
			Bound[Role.Value] = true;
		}
	}
	for (int32 Joint = 0; Joint < Parents.Num(); ++Joint) // fingers, and what else has no role
	{
		const FName Name(*Skeleton.Names[Joint]);
		const FName* Named = BoneMap.Find(Name);
		const int32 Bone = Mesh.FindBoneIndex(Named != nullptr ? *Named : Name);
		if (Bone != INDEX_NONE && Bones[Bone].Joint == INDEX_NONE && !Bound[Joint])
		{
			Bones[Bone].Joint = Joint;
		}
	}
	if (!Pairs.Contains(TEXT("hips")))
	{
		OutProblem = FString::Printf(TEXT("the mesh has no bone for %s; name it in BoneMap"), *Skeleton.Names[0]);
		return false;
	}

	double OurLegs = 0.0, TheirLegs = 0.0;
	for (const TArray<FPair>& Limb : Limbs(Leg, Pairs))
	{
		for (int32 Part = 0; Part < 2; ++Part)
		{
			OurLegs += FVector::Distance(Places[Limb[Part].Joint], Places[Limb[Part + 1].Joint]);
			TheirLegs += FVector::Distance(
				Rests[Limb[Part].Bone].GetLocation(), Rests[Limb[Part + 1].Bone].GetLocation());
		}
	}
	Scale = OurLegs > 0.0 && TheirLegs > 0.0 ? TheirLegs / OurLegs : 1.0;

	const TArray<TArray<FPair>> Arms = Limbs(Arm, Pairs);
	TArray<TArray<FPair>> All = Arms;
	All.Append(Limbs(Leg, Pairs));
	TMap<int32, FQuat> Turns;
	for (const TArray<FPair>& Limb : All)
	{
		FQuat Turn = FQuat::Identity;
		for (int32 Part = 0; Part < 2; ++Part)
		{
			const FVector Along = Rests[Limb[Part + 1].Bone].GetLocation() - Rests[Limb[Part].Bone].GetLocation();
			const FVector Wanted =
				Space.Inverse().RotateVector(Places[Limb[Part + 1].Joint] - Places[Limb[Part].Joint]);
			Turn = FQuat::FindBetweenVectors(Turn.RotateVector(Along), Wanted) * Turn;
			Turns.Add(Limb[Part].Bone, Turn);
		}
	}
	for (const TArray<FPair>& Limb : Arms) // a hand turns with its arm; feet stand flat in any rest pose
	{
		Turns.Add(Limb[2].Bone, Turns[Limb[1].Bone]);
	}
	for (const auto& Turn : Turns)
	{
		Bones[Turn.Key].Turned = Turn.Value * Bones[Turn.Key].Turned;
	}
	return true;
}

void FMotionrtRetarget::Show(const FMotionrtPose& Pose, TArray<FTransform>& OutBones) const
{
	TArray<FQuat> Joints; // in the actor's space
	for (int32 Joint = 0; Joint < Parents.Num(); ++Joint)
	{
		const FQuat& Turn = Pose.Rotations[Joint];
		Joints.Add(Parents[Joint] < 0 ? Turn : Joints[Parents[Joint]] * Turn);
	}
	TArray<FTransform> Shown; // in the component's space
	OutBones.SetNum(Bones.Num());
	for (int32 Index = 0; Index < Bones.Num(); ++Index)
	{
		const FBone& Bone = Bones[Index];
		const FTransform Above = Bone.Parent < 0 ? FTransform::Identity : Shown[Bone.Parent];
		FTransform Local = Bone.Rest;
		if (Bone.Joint != INDEX_NONE)
		{
			const FQuat Turn = Space.Inverse() * Joints[Bone.Joint] * Space * Bone.Turned;
			Local.SetRotation((Above.GetRotation().Inverse() * Turn).GetNormalized());
		}
		if (Bone.Joint == 0)
		{
			Local.SetLocation(Above.InverseTransformPosition(Space.Inverse().RotateVector(Pose.Root) * Scale));
		}
		OutBones[Index] = Local;
		Shown.Add(Local * Above);
	}
}
