using UnrealBuildTool;

// The node of animation blueprints, as the editor shows it: no game takes this along.
public class MotionrtEditor : ModuleRules
{
	public MotionrtEditor(ReadOnlyTargetRules Target) : base(Target)
	{
		PCHUsage = PCHUsageMode.UseExplicitOrSharedPCHs;
		PublicDependencyModuleNames.AddRange(new string[] { "Core", "CoreUObject", "Engine", "AnimGraph", "Motionrt" });
		PrivateDependencyModuleNames.Add("BlueprintGraph");
	}
}
