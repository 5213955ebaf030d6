#pragma once

#define IMPLEMENT_MODULE(Class, Name) [[maybe_unused]] static const char* const Module##Name = #Class
#define IMPLEMENT_PRIMARY_GAME_MODULE(Class, Name, Game) IMPLEMENT_MODULE(Class, Name)
