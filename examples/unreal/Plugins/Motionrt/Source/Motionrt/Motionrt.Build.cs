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

		// The engine's own inference, as it is since 5.4.
		bool HasNne = Target.Version.MajorVersion > 5 || Target.Version.MinorVersion >= 4;
		if (HasNne)
		{
			PrivateDependencyModuleNames.Add("NNE");
		}
		PrivateDefinitions.Add("MOTIONRT_WITH_NNE=" + (HasNne ? "1" : "0"));

		string Ship = Path.Combine(PluginDirectory, "ThirdParty", "motionrt");
		PrivateIncludePaths.Add(Ship);
		RuntimeDependencies.Add(Path.Combine(Ship, "..."), StagedFileType.NonUFS);
	}
}
