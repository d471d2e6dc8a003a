// liveness.h: tells a dead peer from a slow one, by what it says and not by how long work takes.
//
// While calls are outstanding, a ping goes out every `ping_after`; any frame is an answer; a peer
// silent for `lost_after` and for two pings is lost. A pause of our own is not held against the
// peer: after one it is asked again first. A pong names the calls that the peer has in hand. A call
// that is in none of `kMissedPongs` pongs in a row, each asked for after the call was sent, and
// that was not answered, never arrived (or its answer did not): then the channel is broken.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/clock.h"

namespace expertmesh {

struct LivenessOptions {
  Duration ping_after = std::chrono::milliseconds(250);
  Duration lost_after = std::chrono::seconds(1);
};

// One peer's. Threads: one.
class Liveness {
 public:
  explicit Liveness(LivenessOptions options) : options_(options) {}

  void OnCallSent(uint64_t sequence, Time now);
  void OnCallAnswered(uint64_t sequence);
  void OnFrame(Time now);
  // A pong to the ping numbered `ping`; `in_hand` are the sequences that the peer has.
  void OnPong(uint64_t ping, absl::Span<const uint64_t> in_hand);

  enum class Verdict { kFine, kPing, kLost };
  // kPing: send a ping numbered last_ping(). kLost: why() says what was seen.
  Verdict Check(Time now);
  Time NextWakeup() const;

  uint64_t last_ping() const { return last_ping_; }
  const std::string& why() const { return why_; }
  size_t outstanding() const { return calls_.size(); }

 private:
  static constexpr int kMissedPongs = 3;
  static constexpr int kUnheard = 2;          // pings without an answer: lost
  static constexpr int kUnheardWhenLate = 8;  // even if our checks come late
  struct Call {
    uint64_t sequence = 0;
    uint64_t pings_before = 0;  // pings up to this one were asked before the call was sent
    int missed = 0;
  };

  LivenessOptions options_;
  std::vector<Call> calls_;
  Time last_heard_{};
  Time last_asked_{};
  uint64_t last_ping_ = 0;
  int unheard_pings_ = 0;  // since the last frame
  std::string why_;
};

}  // namespace expertmesh
