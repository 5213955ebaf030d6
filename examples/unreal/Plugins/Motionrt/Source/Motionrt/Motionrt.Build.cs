using System.IO;
using UnrealBuildTool;

// ThirdParty/motionrt is what `motionrt package -o` writes: header, libraries, bundle. The libraries are
// opened at run time, so that nothing is linked and a game starts without them.
public class Motionrt : ModuleRules
{
	public Motionrt(ReadOnlyTargetRules Target) : base(Target)
	{
		PCHUsage = PCHUsageMode.UseExplicitOrSharedPCHs;
		PublicDependencyModuleNames.AddRange(new string[] { "Core", "CoreUObject", "Engine" });
		PrivateDependencyModuleNames.Add("Projects");

		string Ship = Path.Combine(PluginDirectory, "ThirdParty", "motionrt");
		PrivateIncludePaths.Add(Ship);
		RuntimeDependencies.Add(Path.Combine(Ship, "..."), StagedFileType.NonUFS);
	}
}
