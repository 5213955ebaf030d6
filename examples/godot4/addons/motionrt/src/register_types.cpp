#include <gdextension_interface.h>

#include <godot_cpp/godot.hpp>

#include "motionrt_godot.hpp"

namespace {

void initialize(godot::ModuleInitializationLevel level) {
  if (level != godot::MODULE_INITIALIZATION_LEVEL_SCENE) return;
  godot::ClassDB::register_class<godot::MotionrtMotion>();
  godot::ClassDB::register_class<godot::MotionrtPipeline>();
}

void uninitialize(godot::ModuleInitializationLevel) {}

} // namespace

extern "C" GDExtensionBool GDE_EXPORT motionrt_init(
    GDExtensionInterfaceGetProcAddress get_proc_address, GDExtensionClassLibraryPtr library,
    GDExtensionInitialization *initialization) {
  godot::GDExtensionBinding::InitObject made(get_proc_address, library, initialization);
  made.register_initializer(initialize);
  made.register_terminator(uninitialize);
  made.set_minimum_library_initialization_level(godot::MODULE_INITIALIZATION_LEVEL_SCENE);
  return made.init();
}
