// fleet_watch.h: the calls of Admin.WatchTopology: who watches gets a snapshot, then what changes.
//
// One thread looks at the fleet every `period` while anybody watches, and offers what it sees to
// each call. A call writes the difference between what it wrote last and what it was offered last,
// when its reader has taken the message before: a slow reader skips states, and none waits for him.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "common/clock.h"
#include "common/mutex.h"
#include "expertmesh/v1/admin.pb.h"

namespace expertmesh {

inline constexpr size_t kMaxWatchers = 64;

struct FleetWatchTiming {
  Duration period = std::chrono::milliseconds(100);
  Duration heartbeat = std::chrono::seconds(3);  // without a change
};

// Outlives the server.
class FleetWatch {
 public:
  explicit FleetWatch(std::function<v1::GetTopologyResponse()> look, FleetWatchTiming timing = {});
  ~FleetWatch();  // Stop()s

  // One call; it owns itself from then on.
  grpc::ServerWriteReactor<v1::FleetEvent>* Serve(grpc::CallbackServerContext* context);

  // Calls end with UNAVAILABLE, also those that come later. Idempotent. Before the server stops.
  void Stop();

 private:
  class Session;
  struct State;

  void Main();
  void Forget(uint64_t id);

  const std::function<v1::GetTopologyResponse()> look_;
  const FleetWatchTiming timing_;
  Mutex mutex_;
  std::condition_variable changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, std::shared_ptr<Session>> sessions_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace expertmesh
