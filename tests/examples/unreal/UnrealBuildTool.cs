// The part of UnrealBuildTool that examples/unreal uses, and what it makes of its rules, a line each.
using System;
using System.Collections.Generic;
using System.IO;

namespace UnrealBuildTool {

public class ReadOnlyBuildVersion { public int MajorVersion, MinorVersion; }
public class ReadOnlyTargetRules { public ReadOnlyBuildVersion Version; }
public class TargetInfo {}
public enum StagedFileType { UFS, NonUFS }
public enum TargetType { Game, Editor }
public enum BuildSettingsVersion { Latest }
public enum EngineIncludeOrderVersion { Latest }

public class RuntimeDependencyList {
  public readonly List<string> files = new List<string>();
  public void Add(string path, StagedFileType type) { files.Add(type + ":" + path); }
}

public class ModuleRules {
  public enum PCHUsageMode { UseExplicitOrSharedPCHs }
  public PCHUsageMode PCHUsage;
  public readonly List<string> PublicDependencyModuleNames = new List<string>();
  public readonly List<string> PrivateDependencyModuleNames = new List<string>();
  public readonly List<string> PrivateDefinitions = new List<string>();
  public readonly List<string> PrivateIncludePaths = new List<string>();
  public readonly RuntimeDependencyList RuntimeDependencies = new RuntimeDependencyList();
  protected string PluginDirectory { get { return "PLUGIN"; } }
  public ModuleRules(ReadOnlyTargetRules target) {}
}

public class TargetRules {
  public TargetType Type;
  public BuildSettingsVersion DefaultBuildSettings;
  public EngineIncludeOrderVersion IncludeOrderVersion;
  public readonly List<string> ExtraModuleNames = new List<string>();
  public TargetRules(TargetInfo target) {}
}

static class Show {
  static void Line(string what, IEnumerable<string> values) {
    Console.WriteLine(what + " " + string.Join(" ", values));
  }

  static ReadOnlyTargetRules Engine(int minor) {
    return new ReadOnlyTargetRules { Version = new ReadOnlyBuildVersion { MajorVersion = 5, MinorVersion = minor } };
  }

  static void Main() {
    var rules = new Motionrt(Engine(4));
    Line("public", rules.PublicDependencyModuleNames);
    Line("private", rules.PrivateDependencyModuleNames);
    Line("define", rules.PrivateDefinitions);
    Line("older", new Motionrt(Engine(1)).PrivateDependencyModuleNames);
    Line("include", rules.PrivateIncludePaths);
    Line("ship", rules.RuntimeDependencies.files);
    var editor = new MotionrtEditor(Engine(4));
    editor.PublicDependencyModuleNames.AddRange(editor.PrivateDependencyModuleNames);
    Line("editor", editor.PublicDependencyModuleNames);
    Line("demo", new MotionrtDemo(Engine(4)).PrivateDependencyModuleNames);
    foreach (TargetRules target in
             new TargetRules[] { new MotionrtDemoTarget(new TargetInfo()), new MotionrtDemoEditorTarget(new TargetInfo()) })
      Line(target.Type.ToString(), target.ExtraModuleNames);
  }
}

}
