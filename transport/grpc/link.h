// link.h: what the progress thread knows of one stream and the channel on it.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "common/clock.h"
#include "transport/grpc/frame_stream.h"
#include "transport/grpc/grpc_channel.h"

namespace expertmesh {

struct Link {
  enum class Phase {
    kGreeting,  // no hello of the peer yet, or none that we have judged
    kOpen,
    kClosing,  // waits for the outstanding write, to say its last word behind it
    kEnding,   // End() was called: only StreamDone is awaited
  };
  struct Frame {
    grpc::ByteBuffer bytes;
    size_t size = 0;
  };

  ChannelId id = 0;
  std::shared_ptr<GrpcChannel> channel;
  std::shared_ptr<FrameStream> stream;
  bool dialled = false;
  PeerExpectation expected;  // when dialled
  std::string peer;          // for texts: an address at first, then who is there
  Phase phase = Phase::kGreeting;
  bool announced = false;  // the role knows of the channel, so OnClosed is owed
  bool retired = false;

  bool writing = false;     // one write is outstanding
  size_t writing_size = 0;  // of the window, what it frees when written; 0 for a hello
  std::array<std::deque<Frame>, 3> lanes;  // control, decode, prefill
  Time deadline = kNever;                  // of the greeting, of a write, of the last word

  std::optional<grpc::ByteBuffer> last_word;  // when closing

  bool live() const { return phase == Phase::kGreeting || phase == Phase::kOpen; }
};

}  // namespace expertmesh
