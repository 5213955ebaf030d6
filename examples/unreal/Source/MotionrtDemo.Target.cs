using UnrealBuildTool;

public class MotionrtDemoTarget : TargetRules
{
	public MotionrtDemoTarget(TargetInfo Target) : base(Target)
	{
		Type = TargetType.Game;
		DefaultBuildSettings = BuildSettingsVersion.Latest;
		IncludeOrderVersion = EngineIncludeOrderVersion.Latest;
		ExtraModuleNames.Add("MotionrtDemo");
	}
}
