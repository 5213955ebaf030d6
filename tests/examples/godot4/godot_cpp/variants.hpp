// Types of godot-cpp 4.2 as far as the addon uses them. They hold what they are given, no more.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gdextension_interface.h>

#define GDE_EXPORT
#define GDCLASS(Name, Parent) \
public: \
  static const char *get_class_static() { return #Name; } \
\
private:

namespace godot {

class CharString {
public:
  explicit CharString(std::string from) : text(std::move(from)) {}
  const char *get_data() const { return text.c_str(); }

private:
  std::string text;
};

class String {
public:
  String() = default;
  String(const char *from) : text(from) {}
  static String utf8(const char *from) { return from; }
  CharString utf8() const { return CharString(text); }

private:
  std::string text;
};

class StringName {
public:
  StringName() = default;
  StringName(const char *) {}
};

template <class T>
class PackedArray {
public:
  void push_back(const T &item) { items.push_back(item); }

private:
  std::vector<T> items;
};
using PackedFloat32Array = PackedArray<float>;
using PackedInt32Array = PackedArray<std::int32_t>;
using PackedStringArray = PackedArray<String>;

class Variant {
public:
  operator double() const { return number; }
  operator std::int64_t() const { return static_cast<std::int64_t>(number); }
  operator std::int32_t() const { return static_cast<std::int32_t>(number); }
  double number = 0;
};

class Dictionary {
public:
  bool has(const char *key) const { return held.count(key) != 0; }
  const Variant &operator[](const char *key) const { return held.at(key); }

private:
  std::map<std::string, Variant> held;
};

struct Vector3 {
  Vector3(float, float, float) {}
};
struct Basis {
  Basis(const Vector3 &, float) {}
};
struct Transform3D {
  Transform3D(const Basis &, const Vector3 &) {}
};

class RefCounted {
public:
  virtual ~RefCounted() = default;
};

template <class T>
class Ref {
public:
  bool is_null() const { return held == nullptr; }
  T *operator->() const { return held.get(); }

private:
  std::shared_ptr<T> held;
};

struct MethodDefinition {};
template <class... Names>
MethodDefinition D_METHOD(Names...) {
  return {};
}

struct ClassDB {
  template <class Method>
  static void bind_method(MethodDefinition, Method) {}
  static void bind_integer_constant(const StringName &, const StringName &, const StringName &, std::int64_t) {}
  template <class Class>
  static void register_class() {}
};

enum ModuleInitializationLevel { MODULE_INITIALIZATION_LEVEL_CORE, MODULE_INITIALIZATION_LEVEL_SCENE };

struct GDExtensionBinding {
  struct InitObject {
    InitObject(GDExtensionInterfaceGetProcAddress, GDExtensionClassLibraryPtr, GDExtensionInitialization *) {}
    void register_initializer(void (*)(ModuleInitializationLevel)) {}
    void register_terminator(void (*)(ModuleInitializationLevel)) {}
    void set_minimum_library_initialization_level(ModuleInitializationLevel) {}
    GDExtensionBool init() const { return 1; }
  };
};

} // namespace godot
