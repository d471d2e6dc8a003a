// grpc_channel.h: what a role holds of a channel: its state and its window. The rest is the core's.
#pragma once

#include <memory>
#include <string>

#include "common/mutex.h"
#include "transport/channel.h"

namespace expertmesh {

class GrpcCore;

// Send and Close post to the core while they hold the mutex, and only as long as the channel is not
// closed. So nothing of a channel is in the core's inbox behind the news that it closed.
class GrpcChannel final : public Channel {
 public:
  struct Window {
    size_t messages = 0;
    size_t bytes = 0;
  };

  GrpcChannel(std::shared_ptr<GrpcCore> core, ChannelId id, Window limit, std::string peer);
  ~GrpcChannel() override;

  ChannelId id() const override { return id_; }
  absl::Status Send(const MessageHeader& header, const Body& body, Event ready,
                    SentCallback sent) override;
  void Close(absl::Status why) override;

  // For the core, on its thread.
  bool MarkOpen(std::string peer);                   // false: closed meanwhile
  absl::Status MarkClosed(const absl::Status& why);  // the reason that holds: the first one
  void Taken(size_t bytes);                          // one message of the window is on its way

 private:
  enum class State { kOpening, kOpen, kClosed };

  absl::Status Reserve(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<GrpcCore> core_;
  const ChannelId id_;
  const Window limit_;

  Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kOpening;
  std::string peer_ ABSL_GUARDED_BY(mutex_);
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
  Window used_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace expertmesh
