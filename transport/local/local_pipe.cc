#include "transport/local/local_pipe.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "transport/local/local_core.h"
#include "transport/wire.h"

namespace expertmesh {
namespace {

// The message as its receiver gets it: lists moved, rows copied.
Message Take(Outgoing& out) {
  Message message;
  message.header = out.header;
  message.assignments = std::move(out.assignments);
  message.numbers = std::move(out.numbers);
  const size_t bytes = out.rows.rows * out.rows.row_bytes;
  if (bytes != 0) {
    auto* copy = new std::byte[bytes];  // not a vector: it would be zeroed first
    message.rows = Payload(absl::MakeConstSpan(copy, bytes), copy,
                           [](void* owned) { delete[] static_cast<std::byte*>(owned); });
    GatherRows(out.rows, copy);
  }
  return message;
}

}  // namespace

void LocalPipe::Bind(int side, std::shared_ptr<LocalCore> core, ChannelId id, std::string who) {
  MutexLock lock(mutex_);
  ends_[side].core = std::move(core);
  ends_[side].id = id;
  ends_[side].who = std::move(who);
}

bool LocalPipe::Accept(std::shared_ptr<LocalCore> core, ChannelId id, const Hello& hello) {
  MutexLock lock(mutex_);
  if (closed_) return false;
  ends_[kAcceptor].core = std::move(core);
  ends_[kAcceptor].id = id;
  ends_[kAcceptor].who = Describe(hello);
  ends_[kAcceptor].open = true;
  ends_[kDialler].core->Post(LocalCore::Answered{ends_[kDialler].id, hello});
  return true;
}

bool LocalPipe::Confirm() {
  MutexLock lock(mutex_);
  if (closed_) return false;
  ends_[kDialler].open = true;
  return true;
}

absl::Status LocalPipe::Unusable(int side) const {
  const End& end = ends_[side];
  const std::string& peer = ends_[1 - side].who;
  if (closed_) {
    return absl::UnavailableError(
        absl::StrCat("channel to ", peer.empty() ? "nobody" : peer, " is closed: ", end.why));
  }
  if (!end.open) return absl::UnavailableError("channel is not open yet");
  return absl::OkStatus();
}

absl::Status LocalPipe::Reserve(int side) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(Unusable(side));
  const End& peer = ends_[1 - side];
  if (ends_[side].in_flight >= kLocalWindow) {
    return absl::ResourceExhaustedError(
        absl::StrCat("window full: ", peer.who, " has not taken ", kLocalWindow, " messages yet"));
  }
  ++ends_[side].in_flight;
  return absl::OkStatus();
}

absl::Status LocalPipe::Commit(int side, Message message, SentCallback sent) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(Unusable(side));
  const End& peer = ends_[1 - side];
  peer.core->Post(LocalCore::Arrived{peer.id, std::move(message)});
  if (sent) ends_[side].core->Post(LocalCore::Sent{std::move(sent)});
  return absl::OkStatus();
}

absl::Status LocalPipe::Send(int side, Outgoing out, Event ready) {
  RETURN_IF_ERROR(FrameBytes(out.header, out.body()).status());
  RETURN_IF_ERROR(Reserve(side));
  // The copy is made between two looks at the state: the lock is never held for it, and a pipe
  // that closed meanwhile has taken nothing.
  if (ready.Passed()) return Commit(side, Take(out), std::move(out.sent));

  std::shared_ptr<LocalCore> core;
  uint64_t token = 0;
  {
    MutexLock lock(mutex_);
    RETURN_IF_ERROR(Unusable(side));
    core = ends_[side].core;
    token = core->NextToken();
    core->Post(LocalCore::Waiting{ends_[side].id, token, std::move(out)});
  }
  core->Await(ready, token);
  return absl::OkStatus();
}

absl::Status LocalPipe::Deliver(int side, Outgoing& out) {
  return Commit(side, Take(out), nullptr);
}

void LocalPipe::Taken(int side) {
  MutexLock lock(mutex_);
  --ends_[1 - side].in_flight;
}

void LocalPipe::Close(int side, const absl::Status& why, const absl::Status& why_for_peer) {
  MutexLock lock(mutex_);
  if (std::exchange(closed_, true)) return;
  for (int of : {side, 1 - side}) {
    const absl::Status& own = of == side ? why : why_for_peer;
    End& end = ends_[of];
    end.why = std::string(own.message());
    if (end.core == nullptr) continue;
    end.core->Post(LocalCore::Closed{end.id, Unshared(own)});
    end.core = nullptr;
  }
}

}  // namespace expertmesh
