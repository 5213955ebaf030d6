#pragma once

#include "CoreMinimal.h"

#include <condition_variable>
#include <optional>

template <class T>
class TFuture
{
public:
	struct FState
	{
		std::mutex Guard;
		std::condition_variable Set;
		std::optional<T> Result;
	};
	TFuture() = default;
	explicit TFuture(std::shared_ptr<FState> From) : State(std::move(From)) {}
	TFuture(TFuture&&) = default;
	TFuture& operator=(TFuture&&) = default;
	bool IsValid() const { return State != nullptr; }
	bool IsReady() const
	{
		std::lock_guard<std::mutex> Lock(State->Guard);
		return State->Result.has_value();
	}
	const T& Get() const
	{
		std::unique_lock<std::mutex> Lock(State->Guard);
		State->Set.wait(Lock, [this] { return State->Result.has_value(); });
		return *State->Result;
	}

private:
	std::shared_ptr<FState> State;
};
