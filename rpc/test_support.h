// test_support.h: for tests of whatever speaks gRPC: waiting without sleeping, and a port that the
// test itself plays.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/mutex.h"
#include "generation/request_port.h"

namespace expertmesh {

// A value that other threads change and a test waits on.
template <typename T>
class Watched {
 public:
  void Change(const std::function<void(T&)>& change) {
    MutexLock lock(mutex_);
    change(value_);
    changed_.notify_all();
  }
  // Until `condition` holds, for at most 20 s. Whether it does.
  bool WaitFor(const std::function<bool(const T&)>& condition) {
    const Time deadline = Now() + std::chrono::seconds(20);
    MutexLock lock(mutex_);
    while (!condition(value_)) {
      if (changed_.wait_until(lock.native(), deadline) == std::cv_status::timeout) {
        return condition(value_);
      }
    }
    return true;
  }
  T Get() {
    MutexLock lock(mutex_);
    return value_;
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  T value_{};
};

// A port that notes what is asked of it; the test answers with Deliver and End.
template <typename Request>
class FakePortOf final : public RequestPort<Request> {
 public:
  struct Asked {
    std::map<RequestId, Request> started;
    std::vector<RequestId> order;  // of starts
    std::vector<RequestId> cancelled;
  };

  void Start(RequestId id, Request request, GenerationListener* listener) override {
    {
      MutexLock lock(mutex_);
      listeners_[id] = listener;
    }
    asked.Change([&](Asked& asked) {
      asked.started[id] = std::move(request);
      asked.order.push_back(id);
    });
  }
  void Cancel(RequestId id) override {
    asked.Change([&](Asked& asked) { asked.cancelled.push_back(id); });
  }

  // The number of the n-th request, once it is there; 0 if it does not come.
  RequestId WaitForStart(size_t n = 0) {
    asked.WaitFor([&](const Asked& asked) { return asked.order.size() > n; });
    const Asked now = asked.Get();
    return now.order.size() > n ? now.order[n] : 0;
  }
  bool WaitForCancel(RequestId id) {
    return asked.WaitFor([&](const Asked& asked) {
      for (RequestId cancelled : asked.cancelled) {
        if (cancelled == id) return true;
      }
      return false;
    });
  }

  // Also after a Cancel: a port of another thread may be late.
  void Deliver(RequestId id, Delta delta) { Listener(id)->OnDelta(id, std::move(delta)); }
  void End(RequestId id, absl::Status status) { Listener(id)->OnEnd(id, std::move(status)); }

  Watched<Asked> asked;

 private:
  GenerationListener* Listener(RequestId id) {
    MutexLock lock(mutex_);
    return listeners_.at(id);
  }

  Mutex mutex_;
  std::map<RequestId, GenerationListener*> listeners_ ABSL_GUARDED_BY(mutex_);
};
using FakePort = FakePortOf<GenerateRequest>;

inline Delta TokenDelta(int32_t id, float logprob = -0.5f) {
  Delta delta;
  delta.tokens.push_back({.id = id, .logprob = logprob});
  return delta;
}

inline Delta LastDelta(int32_t id, FinishReason finish, Usage usage) {
  Delta delta = TokenDelta(id);
  delta.finish = finish;
  delta.usage = usage;
  if (finish == FinishReason::kStop) delta.stop_token_id = id;
  return delta;
}

}  // namespace expertmesh
