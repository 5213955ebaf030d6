// Strings, containers, pointers and geometry of Unreal, as far as examples/unreal uses them: they do what the engine's
// do. Each header here has what the engine's header of its name has, so that what a file includes is checked too.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <cwctype>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

using int32 = std::int32_t;
using int64 = std::int64_t;
using uint8 = std::uint8_t;
using uint32 = std::uint32_t;
using uint64 = std::uint64_t;
using TCHAR = wchar_t;
#define TEXT(x) L##x
#define PLATFORM_WINDOWS 0
#define PLATFORM_MAC 0
#define MOTIONRT_API
#define MOTIONRTEDITOR_API
constexpr int32 INDEX_NONE = -1;

// What the engine's header tool reads. Its GENERATED_BODY() is written by the test.
#define UCLASS(...)
#define USTRUCT(...)
#define UPROPERTY(...)
#define UFUNCTION(...)

template <class T>
class TArray
{
public:
	TArray() = default;
	TArray(std::initializer_list<T> From) : Items(From.begin(), From.end()) {}
	int32 Num() const { return static_cast<int32>(Items.size()); }
	int32 Add(const T& Item)
	{
		Items.push_back(Item);
		return Num() - 1;
	}
	void Append(const TArray& More) { Items.insert(Items.end(), More.Items.begin(), More.Items.end()); }
	void Reset() { Items.clear(); }
	void SetNum(int32 Count) { Items.resize(static_cast<std::size_t>(Count)); }
	void SetNumZeroed(int32 Count) { SetNum(Count); }
	decltype(auto) operator[](int32 Index) { return Items.at(static_cast<std::size_t>(Index)); }
	decltype(auto) operator[](int32 Index) const { return Items.at(static_cast<std::size_t>(Index)); }
	T* GetData() { return Items.data(); }
	const T* GetData() const { return Items.data(); }
	bool operator==(const TArray& Other) const { return Items == Other.Items; }
	auto begin() const { return Items.begin(); }
	auto end() const { return Items.end(); }

private:
	std::vector<T> Items;
};

template <class T, class N = int32>
class TArrayView
{
public:
	TArrayView(T* InData, N InCount) : Data(InData), Count(InCount) {}
	template <class U>
	TArrayView(const TArray<U>& From) : Data(From.GetData()), Count(From.Num())
	{
	}
	N Num() const { return Count; }
	T& operator[](N Index) const { return Data[Index]; }
	T* begin() const { return Data; }
	T* end() const { return Data + Count; }

private:
	T* Data;
	N Count;
};
template <class T>
using TConstArrayView = TArrayView<const T>;
template <class T>
using TConstArrayView64 = TArrayView<const T, int64>;

template <class K, class V>
struct TPair
{
	K Key;
	V Value;
};

template <class K, class V>
class TMap
{
public:
	V& Add(const K& Key, const V& Value)
	{
		V* Found = Find(Key);
		if (Found == nullptr)
		{
			Pairs.push_back({Key, Value});
			return Pairs.back().Value;
		}
		return *Found = Value;
	}
	const V* Find(const K& Key) const
	{
		for (const auto& Pair : Pairs)
		{
			if (Pair.Key == Key)
			{
				return &Pair.Value;
			}
		}
		return nullptr;
	}
	V* Find(const K& Key) { return const_cast<V*>(static_cast<const TMap*>(this)->Find(Key)); }
	bool Contains(const K& Key) const { return Find(Key) != nullptr; }
	void Remove(const K& Key)
	{
		Pairs.erase(std::remove_if(Pairs.begin(), Pairs.end(), [&](const auto& P) { return P.Key == Key; }), Pairs.end());
	}
	const V& operator[](const K& Key) const { return *Find(Key); }
	auto begin() const { return Pairs.begin(); }
	auto end() const { return Pairs.end(); }

private:
	std::vector<TPair<K, V>> Pairs;
};

/** Compares without case, as the engine's does. */
class FString
{
public:
	FString() = default;
	FString(const TCHAR* From) : Text(From) {}
	const TCHAR* operator*() const { return Text.c_str(); }
	bool IsEmpty() const { return Text.empty(); }
	FString Left(int32 Count) const { return Text.substr(0, static_cast<std::size_t>(Count)).c_str(); }
	FString ToLower() const
	{
		FString Lower = *this;
		for (TCHAR& Char : Lower.Text)
		{
			Char = static_cast<TCHAR>(std::towlower(static_cast<std::wint_t>(Char)));
		}
		return Lower;
	}
	FString Replace(const TCHAR* From, const TCHAR* To) const
	{
		FString Made = *this;
		for (std::size_t At = 0; (At = Made.Text.find(From, At)) != std::wstring::npos; At += std::wcslen(To))
		{
			Made.Text.replace(At, std::wcslen(From), To);
		}
		return Made;
	}
	bool Equals(const FString& Other) const { return Text == Other.Text; }
	bool operator==(const FString& Other) const { return ToLower().Text == Other.ToLower().Text; }
	/** %s, of TCHARs, is all it knows. */
	template <class... T>
	static FString Printf(const TCHAR* Format, T... Values)
	{
		const FString Wide = FString(Format).Replace(TEXT("%s"), TEXT("%ls"));
		std::wstring Buffer(4096, 0);
		std::swprintf(Buffer.data(), Buffer.size(), *Wide, Values...);
		return Buffer.c_str();
	}

private:
	std::wstring Text;
};

class FText
{
public:
	static FText FromString(const FString& From)
	{
		FText Made;
		Made.Text = From;
		return Made;
	}
	const FString& ToString() const { return Text; }

private:
	FString Text;
};

struct FUtf8
{
	static std::string From(const TCHAR* Wide)
	{
		std::string Made;
		for (; *Wide != 0; ++Wide)
		{
			const auto Code = static_cast<uint32>(*Wide);
			if (Code < 0x80)
			{
				Made += static_cast<char>(Code);
				continue;
			}
			const int Extra = Code < 0x800 ? 1 : Code < 0x10000 ? 2 : 3;
			Made += static_cast<char>((0xF00 >> Extra & 0xFF) | Code >> 6 * Extra);
			for (int Rest = Extra - 1; Rest >= 0; --Rest)
			{
				Made += static_cast<char>(0x80 | (Code >> 6 * Rest & 0x3F));
			}
		}
		return Made;
	}
	static std::wstring To(const char* Bytes)
	{
		std::wstring Made;
		while (*Bytes != 0)
		{
			const auto First = static_cast<unsigned char>(*Bytes++);
			const int Extra = First < 0x80 ? 0 : First < 0xE0 ? 1 : First < 0xF0 ? 2 : 3;
			auto Code = static_cast<uint32>(Extra == 0 ? First : First & (0x3F >> Extra));
			for (int Rest = 0; Rest < Extra && *Bytes != 0; ++Rest)
			{
				Code = Code << 6 | (static_cast<unsigned char>(*Bytes++) & 0x3F);
			}
			Made += static_cast<TCHAR>(Code);
		}
		return Made;
	}
};
// Valid until the end of the statement, as the engine's.
#define TCHAR_TO_UTF8(x) (FUtf8::From(x).c_str())
#define UTF8_TO_TCHAR(x) (FUtf8::To(x).c_str())

class FName
{
public:
	FName() = default;
	FName(const TCHAR* From) : Name(From) {}
	FString ToString() const { return Name; }
	bool operator==(const FName& Other) const { return Name == Other.Name; }

private:
	FString Name;
};

enum class ESPMode { NotThreadSafe, ThreadSafe };

template <class T, ESPMode Mode = ESPMode::ThreadSafe>
class TSharedPtr
{
public:
	TSharedPtr(std::nullptr_t = nullptr) {}
	explicit TSharedPtr(std::shared_ptr<T> From) : Held(std::move(From)) {}
	bool IsValid() const { return Held != nullptr; }
	void Reset() { Held.reset(); }
	T& operator*() const { return *Held; }
	T* operator->() const { return Held.get(); }

private:
	std::shared_ptr<T> Held;
};

template <class T, ESPMode Mode = ESPMode::ThreadSafe, class... A>
TSharedPtr<T, Mode> MakeShared(A&&... Arguments)
{
	return TSharedPtr<T, Mode>(std::make_shared<T>(std::forward<A>(Arguments)...));
}

struct FCStringAnsi
{
	static int32 Strcmp(const char* A, const char* B) { return std::strcmp(A, B); }
};

using FCriticalSection = std::recursive_mutex;

struct FMath
{
	static float Cos(float X) { return std::cos(X); }
	static float Sin(float X) { return std::sin(X); }
	template <class T>
	static T Lerp(const T& A, const T& B, double Share)
	{
		return A + (B - A) * Share;
	}
};

struct FVector
{
	double X = 0.0, Y = 0.0, Z = 0.0;
	FVector() = default;
	explicit FVector(double All) : X(All), Y(All), Z(All) {}
	FVector(double InX, double InY, double InZ) : X(InX), Y(InY), Z(InZ) {}
	FVector operator+(const FVector& V) const { return {X + V.X, Y + V.Y, Z + V.Z}; }
	FVector operator-(const FVector& V) const { return {X - V.X, Y - V.Y, Z - V.Z}; }
	FVector operator*(const FVector& V) const { return {X * V.X, Y * V.Y, Z * V.Z}; }
	FVector operator/(const FVector& V) const { return {X / V.X, Y / V.Y, Z / V.Z}; }
	FVector operator*(double S) const { return {X * S, Y * S, Z * S}; }
	FVector Cross(const FVector& V) const { return {Y * V.Z - Z * V.Y, Z * V.X - X * V.Z, X * V.Y - Y * V.X}; }
	double Dot(const FVector& V) const { return X * V.X + Y * V.Y + Z * V.Z; }
	double Length() const { return std::sqrt(Dot(*this)); }
	static double Distance(const FVector& A, const FVector& B) { return (A - B).Length(); }
	static const FVector ZeroVector;
};
inline const FVector FVector::ZeroVector;

struct FRotator
{
	double Pitch, Yaw, Roll;
	FRotator(double InPitch, double InYaw, double InRoll) : Pitch(InPitch), Yaw(InYaw), Roll(InRoll) {}
};

/** A * B is first B, then A. */
struct FQuat
{
	double X = 0.0, Y = 0.0, Z = 0.0, W = 1.0;
	FQuat() = default;
	FQuat(double InX, double InY, double InZ, double InW) : X(InX), Y(InY), Z(InZ), W(InW) {}
	FQuat(const FVector& Axis, double Angle) : W(std::cos(Angle / 2))
	{
		const FVector V = Axis * (std::sin(Angle / 2) / Axis.Length());
		X = V.X, Y = V.Y, Z = V.Z;
	}
	FQuat operator*(const FQuat& Q) const
	{
		const FVector A(X, Y, Z), B(Q.X, Q.Y, Q.Z);
		const FVector V = B * W + A * Q.W + A.Cross(B);
		return {V.X, V.Y, V.Z, W * Q.W - A.Dot(B)};
	}
	FQuat Inverse() const { return {-X, -Y, -Z, W}; }
	FQuat GetNormalized() const
	{
		const double Size = std::sqrt(X * X + Y * Y + Z * Z + W * W);
		return {X / Size, Y / Size, Z / Size, W / Size};
	}
	FVector RotateVector(const FVector& V) const
	{
		const FVector Axis(X, Y, Z), T = Axis.Cross(V) * 2.0;
		return V + T * W + Axis.Cross(T);
	}
	static FQuat FindBetweenVectors(const FVector& From, const FVector& To)
	{
		const FVector Axis = From.Cross(To);
		const double W = From.Length() * To.Length() + From.Dot(To);
		return W < 1e-9 ? FQuat(0, 0, 1, 0) : FQuat(Axis.X, Axis.Y, Axis.Z, W).GetNormalized();
	}
	static FQuat Slerp(const FQuat& A, const FQuat& B, double Share)
	{
		const double Dot = A.X * B.X + A.Y * B.Y + A.Z * B.Z + A.W * B.W;
		const double Angle = std::acos(std::min(std::abs(Dot), 1.0)), Sine = std::sin(Angle);
		const double One = Sine < 1e-6 ? 1 - Share : std::sin((1 - Share) * Angle) / Sine;
		const double Two = (Dot < 0 ? -1 : 1) * (Sine < 1e-6 ? Share : std::sin(Share * Angle) / Sine);
		return FQuat(One * A.X + Two * B.X, One * A.Y + Two * B.Y, One * A.Z + Two * B.Z, One * A.W + Two * B.W)
			.GetNormalized();
	}
	static const FQuat Identity;
};
inline const FQuat FQuat::Identity;

/** A * B is first A, then B. */
class FTransform
{
public:
	FTransform() = default;
	FTransform(const FQuat& Rotation, const FVector& Location, const FVector& Scale = FVector(1.0))
		: Q(Rotation), T(Location), S(Scale)
	{
	}
	const FQuat& GetRotation() const { return Q; }
	const FVector& GetLocation() const { return T; }
	const FVector& GetScale3D() const { return S; }
	void SetRotation(const FQuat& Rotation) { Q = Rotation; }
	void SetLocation(const FVector& Location) { T = Location; }
	FVector TransformPosition(const FVector& V) const { return Q.RotateVector(V * S) + T; }
	FVector InverseTransformPosition(const FVector& V) const { return Q.Inverse().RotateVector(V - T) / S; }
	FTransform operator*(const FTransform& B) const { return {B.Q * Q, B.TransformPosition(T), S * B.S}; }
	FTransform GetRelativeTransform(const FTransform& B) const
	{
		return {B.Q.Inverse() * Q, B.InverseTransformPosition(T), S / B.S};
	}
	static const FTransform Identity;

private:
	FQuat Q;
	FVector T, S = FVector(1.0);
};
inline const FTransform FTransform::Identity;

/** What was logged, for the test. */
inline std::vector<FString> GLogged;
#define DEFINE_LOG_CATEGORY_STATIC(Name, Default, All) static const char* const Name = #Name
#define UE_LOG(Name, Level, Format, ...) ((void)Name, GLogged.push_back(FString::Printf(Format, __VA_ARGS__)))

#define DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(Name, Type, Parameter) \
	struct Name \
	{ \
		std::vector<std::function<void(Type)>> Listeners; \
		void Broadcast(const Type& Parameter) const \
		{ \
			for (const auto& Listener : Listeners) \
			{ \
				Listener(Parameter); \
			} \
		} \
	}

/** Objects know their class without the compiler's own types, which the engine builds without. */
struct UClass
{
	const UClass* Super;
};
#define STAND_IN_CLASS(Name, Parent) \
public: \
	using Super = Parent; \
	static const UClass* StaticClass() \
	{ \
		static const UClass Class{Super::StaticClass()}; \
		return &Class; \
	} \
	const UClass* GetClass() const override { return StaticClass(); } \
\
private:

enum class EInternalObjectFlags { Async };

class UObject
{
public:
	virtual ~UObject() = default;
	static const UClass* StaticClass()
	{
		static const UClass Class{nullptr};
		return &Class;
	}
	virtual const UClass* GetClass() const { return StaticClass(); }
	FName GetFName() const { return Name; }
	/** Objects of other threads are kept until this is cleared. */
	void ClearInternalFlags(EInternalObjectFlags) { bKept = false; }
	bool bKept = true;
	FName Name;
};

/** Objects that were made in other threads, and what keeps them from being collected. */
inline std::vector<std::unique_ptr<UObject>> GCollected;
inline std::atomic<int> GNumGuards{0};

template <class T>
class TWeakInterfacePtr
{
public:
	explicit TWeakInterfacePtr(T* From) : Held(From) {}
	bool IsValid() const { return Held != nullptr; }
	T* operator->() const { return Held; }

private:
	T* Held;
};

template <class T>
class TObjectPtr
{
public:
	TObjectPtr(T* From = nullptr) : Held(From) {}
	operator T*() const { return Held; }
	T* operator->() const { return Held; }
	T& operator*() const { return *Held; }

private:
	T* Held;
};

template <class T>
T* Cast(UObject* From)
{
	for (const UClass* Class = From ? From->GetClass() : nullptr; Class != nullptr; Class = Class->Super)
	{
		if (Class == T::StaticClass())
		{
			return static_cast<T*>(From);
		}
	}
	return nullptr;
}
template <class T, class U>
T* Cast(const TObjectPtr<U>& From)
{
	return Cast<T>(static_cast<UObject*>(static_cast<U*>(From)));
}
