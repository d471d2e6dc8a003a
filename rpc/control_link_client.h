// control_link_client.h: a worker's ControlLink over gRPC: Coordinator.Join, one stream at a time.
#pragma once

#include <grpcpp/channel.h>

#include <condition_variable>
#include <memory>
#include <string>

#include "cluster/control_link.h"
#include "common/mutex.h"
#include "rpc/convert_fleet.h"

namespace expertmesh {

// Keeps the contract of control_link.h. A command that cannot be read, or that is about another
// model than the one last reported, takes the link down (INVALID_ARGUMENT): nothing of it is passed
// on.
//
// Threads  Connect, Send and Stop from any thread; Connect and Stop not from a callback.
class GrpcControlLink final : public ControlLink {
 public:
  // `channel` leads to the coordinator; it connects by itself, with backoff (channel.h).
  explicit GrpcControlLink(std::shared_ptr<grpc::Channel> channel);
  // A channel of its own, to "host:port".
  explicit GrpcControlLink(const std::string& address);
  ~GrpcControlLink() override;  // Stop()s

  void Connect(ControlLinkListener* listener) override;
  void Send(const Report& report) override;
  void Stop() override;

 private:
  class Stream;

  void LetGoOfStream();
  void OnStreamGone();

  const std::shared_ptr<grpc::Channel> channel_;
  Mutex mutex_;
  std::condition_variable gone_;
  std::shared_ptr<Stream> stream_ ABSL_GUARDED_BY(mutex_);
  int live_streams_ ABSL_GUARDED_BY(mutex_) = 0;  // also those that were let go: until OnDone
};

}  // namespace expertmesh
