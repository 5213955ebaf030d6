using UnrealBuildTool;

public class MotionrtDemo : ModuleRules
{
	public MotionrtDemo(ReadOnlyTargetRules Target) : base(Target)
	{
		PCHUsage = PCHUsageMode.UseExplicitOrSharedPCHs;
		PrivateDependencyModuleNames.AddRange(new string[] { "Core", "Engine" });
	}
}
