#pragma once

#include "CoreMinimal.h"

class IPlugin
{
public:
	FString GetBaseDir() const { return BaseDir; }
	static inline FString BaseDir;
};

class IPluginManager
{
public:
	static IPluginManager& Get()
	{
		static IPluginManager Manager;
		return Manager;
	}
	TSharedPtr<IPlugin> FindPlugin(const FString& Name)
	{
		return Name == TEXT("Motionrt") ? MakeShared<IPlugin>() : TSharedPtr<IPlugin>();
	}
};
