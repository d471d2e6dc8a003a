// local_pipe.h: one channel between two transports of a process: what its two ends share.
#pragma once

#include <memory>
#include <string>

#include "common/mutex.h"
#include "transport/channel.h"
#include "transport/outgoing.h"

namespace expertmesh {

class LocalCore;

// Messages of one direction that the receiver has not taken yet.
inline constexpr size_t kLocalWindow = 1024;

// Whoever changes the pipe's state posts the news to the ends' inboxes while it holds the mutex.
// So an end's inbox has its news in the order in which they happened, and "closed" is the last of
// them: nothing is posted for a pipe that is closed.
class LocalPipe : public std::enable_shared_from_this<LocalPipe> {
 public:
  static constexpr int kDialler = 0;
  static constexpr int kAcceptor = 1;

  // Binds an end to the transport that owns it, and its name for texts. Until then nobody is told
  // there.
  void Bind(int side, std::shared_ptr<LocalCore> core, ChannelId id, std::string who)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Binds and opens the accepting end and sends the dialler its hello. False: closed meanwhile.
  bool Accept(std::shared_ptr<LocalCore> core, ChannelId id, const Hello& hello)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // The dialler has judged the answer well. False: closed meanwhile.
  bool Confirm() ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Status Send(int side, Outgoing out, Event ready) ABSL_LOCKS_EXCLUDED(mutex_);
  // A deferred message's rows are there: copies and delivers it, unless the pipe is closed, and
  // says which. For the thread of the sending transport.
  absl::Status Deliver(int side, Outgoing& out) ABSL_LOCKS_EXCLUDED(mutex_);
  // The receiver at `side` has taken one message.
  void Taken(int side) ABSL_LOCKS_EXCLUDED(mutex_);

  // Tells each end its own reason, once.
  void Close(int side, const absl::Status& why, const absl::Status& why_for_peer)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct End {
    std::shared_ptr<LocalCore> core;  // null until bound and once closed
    ChannelId id = 0;
    std::string who;
    bool open = false;
    size_t in_flight = 0;  // sent from here, not taken there
    std::string why;       // once closed
  };

  absl::Status Reserve(int side) ABSL_LOCKS_EXCLUDED(mutex_);
  // Posts to the receiver; with `sent`, also the fate to the sender.
  absl::Status Commit(int side, Message message, SentCallback sent) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Unusable(int side) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  End ends_[2] ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace expertmesh
