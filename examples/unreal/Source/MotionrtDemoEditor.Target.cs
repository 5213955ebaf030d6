using UnrealBuildTool;

public class MotionrtDemoEditorTarget : TargetRules
{
	public MotionrtDemoEditorTarget(TargetInfo Target) : base(Target)
	{
		Type = TargetType.Editor;
		DefaultBuildSettings = BuildSettingsVersion.Latest;
		IncludeOrderVersion = EngineIncludeOrderVersion.Latest;
		ExtraModuleNames.Add("MotionrtDemo");
	}
}
