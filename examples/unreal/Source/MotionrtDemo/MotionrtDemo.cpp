// A project with code of its own has its plugins built by the editor; it needs no more than this.
#include "Modules/ModuleManager.h"

IMPLEMENT_PRIMARY_GAME_MODULE(FDefaultGameModuleImpl, MotionrtDemo, "MotionrtDemo");
