#pragma once

#include "Async/Future.h"

#include <atomic>
#include <thread>

enum class EAsyncExecution { TaskGraph, Thread, ThreadPool };

/** How many threads run, for the test. */
inline std::atomic<int> GNumThreads{0};

template <class F>
auto Async(EAsyncExecution Execution, F Function) -> TFuture<decltype(Function())>
{
	using T = decltype(Function());
	auto State = std::make_shared<typename TFuture<T>::FState>();
	++GNumThreads;
	(void)Execution;
	std::thread([State, Function = std::move(Function)]() mutable
	{
		{
			std::optional<F> Once(std::move(Function)); // what it holds is let go of before it counts as done
			T Result = (*Once)();
			Once.reset();
			std::lock_guard<std::mutex> Lock(State->Guard);
			State->Result = std::move(Result);
			State->Set.notify_all();
		}
		State.reset();
		--GNumThreads;
	}).detach();
	return TFuture<T>(State);
}
