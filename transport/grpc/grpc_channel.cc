#include "transport/grpc/grpc_channel.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "transport/grpc/grpc_core.h"
#include "transport/outgoing.h"
#include "transport/wire.h"

namespace expertmesh {

GrpcChannel::GrpcChannel(std::shared_ptr<GrpcCore> core, ChannelId id, Window limit,
                         std::string peer)
    : core_(std::move(core)), id_(id), limit_(limit), peer_(std::move(peer)) {}

GrpcChannel::~GrpcChannel() = default;

absl::Status GrpcChannel::Reserve(size_t bytes) {
  if (state_ == State::kClosed) {
    return absl::UnavailableError(
        absl::StrCat("channel to ", peer_, " is closed: ", why_.message()));
  }
  if (state_ == State::kOpening) {
    return absl::UnavailableError(absl::StrCat("channel to ", peer_, " is not open yet"));
  }
  if (used_.messages >= limit_.messages ||
      (used_.messages > 0 && used_.bytes + bytes > limit_.bytes)) {
    return absl::ResourceExhaustedError(absl::StrCat("window full: ", peer_, " has not taken ",
                                                     used_.messages, " messages of ", used_.bytes,
                                                     " bytes yet"));
  }
  ++used_.messages;
  used_.bytes += bytes;
  return absl::OkStatus();
}

absl::Status GrpcChannel::Send(const MessageHeader& header, const Body& body, Event ready,
                               SentCallback sent) {
  ASSIGN_OR_RETURN(const size_t bytes, FrameBytes(header, body));
  GrpcCore::Submitted news{id_, 0, bytes, Outgoing(header, body, std::move(sent))};
  const bool wait = !ready.Passed();
  if (wait) news.token = core_->NextToken();
  const uint64_t token = news.token;
  {
    MutexLock lock(mutex_);
    RETURN_IF_ERROR(Reserve(bytes));
    core_->Post(std::move(news));
  }
  if (wait) core_->Await(ready, token);
  return absl::OkStatus();
}

void GrpcChannel::Close(absl::Status why) {
  MutexLock lock(mutex_);
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  why_ = std::move(why);
  core_->Post(GrpcCore::CloseAsked{id_});
}

bool GrpcChannel::MarkOpen(std::string peer) {
  MutexLock lock(mutex_);
  if (state_ == State::kClosed) return false;
  state_ = State::kOpen;
  peer_ = std::move(peer);
  return true;
}

absl::Status GrpcChannel::MarkClosed(const absl::Status& why) {
  MutexLock lock(mutex_);
  if (state_ != State::kClosed) why_ = why;
  state_ = State::kClosed;
  return why_;
}

void GrpcChannel::Taken(size_t bytes) {
  MutexLock lock(mutex_);
  --used_.messages;
  used_.bytes -= bytes;
}

}  // namespace expertmesh
