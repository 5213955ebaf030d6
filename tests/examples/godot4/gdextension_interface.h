// What Godot's own header of this name has, as far as the addon's entry point names it.
#pragma once

#include <cstdint>

using GDExtensionBool = std::uint8_t;
using GDExtensionClassLibraryPtr = void *;
using GDExtensionInterfaceGetProcAddress = void (*(*)(const char *))();
struct GDExtensionInitialization {};
