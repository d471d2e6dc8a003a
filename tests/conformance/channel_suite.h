// channel_suite.h: what every test of the transports' contract starts from: a fleet of the
// transport under test, and workers on it that write down what they are told.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "common/mutex.h"
#include "transport/channel.h"

namespace expertmesh {

// Transports of one kind that can reach each other.
class Fleet {
 public:
  virtual ~Fleet() = default;
  // A transport that is reached at Address(name). Lives as long as the fleet.
  virtual Transport& Add(const std::string& name, Endpoint* endpoint) = 0;
  virtual std::string Address(const std::string& name) = 0;
  virtual std::string AddressOfNobody() = 0;
  // Another address of `name`, over which Vanish takes it away without a word.
  virtual std::string FragileAddress(const std::string& name) = 0;
  virtual void Vanish(const std::string& name) = 0;
};

struct FleetKind {
  std::string name;
  std::function<std::unique_ptr<Fleet>()> make;
};

inline void PrintTo(const FleetKind& kind, std::ostream* out) { *out << kind.name; }

// A role's endpoint that records, and complains when the contract's order is broken.
class Recorder final : public Endpoint {
 public:
  struct Opened {
    std::shared_ptr<Channel> channel;
    Hello peer;
  };

  absl::Status Judge(const Hello& peer) override;
  void OnOpened(std::shared_ptr<Channel> channel, const Hello& peer) override;
  void OnMessage(ChannelId channel, Message message) override;
  void OnClosed(ChannelId channel, absl::Status why) override;

  // What a test may change before traffic: the verdict, and what happens on a message.
  std::function<absl::Status(const Hello&)> judge;
  std::function<void(ChannelId, Message&)> on_message;  // instead of keeping it

  // All wait for the thing, with a deadline; a test fails when it passes.
  std::shared_ptr<Channel> WaitOpened(size_t count = 1);  // the count-th
  std::vector<Message> TakeMessages(size_t count);
  absl::Status WaitClosed(ChannelId channel);
  void AwaitClosed(ChannelId channel) { (void)WaitClosed(channel); }
  void WaitMessages(size_t count);

  std::vector<Opened> opened() const;
  size_t closed_count(ChannelId channel) const;
  size_t messages_seen() const;
  // From now on any callback is a failure.
  void ForbidCallbacks();
  // While held, OnMessage does not return.
  void Hold(bool hold);

 private:
  bool Wait(const std::function<bool()>& done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Enter(const char* what, ChannelId channel) ABSL_LOCKS_EXCLUDED(mutex_);
  void Leave(ChannelId channel) ABSL_LOCKS_EXCLUDED(mutex_);

  mutable Mutex mutex_;
  std::condition_variable changed_;
  std::vector<Opened> opened_ ABSL_GUARDED_BY(mutex_);
  std::vector<Message> messages_ ABSL_GUARDED_BY(mutex_);
  size_t messages_seen_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<ChannelId, std::vector<absl::Status>> closed_ ABSL_GUARDED_BY(mutex_);
  std::set<ChannelId> inside_ ABSL_GUARDED_BY(mutex_);  // channels with a callback running
  bool forbidden_ ABSL_GUARDED_BY(mutex_) = false;
  bool hold_ ABSL_GUARDED_BY(mutex_) = false;
};

// The fates of messages: each token must come once.
class Fates {
 public:
  SentCallback For(size_t token);
  // Likewise, of a message on this channel of `owner`: OnClosed must not have come yet.
  SentCallback For(size_t token, const Recorder& owner, ChannelId channel);
  void WaitAll(size_t count);  // tokens 0 to count - 1
  absl::Status Of(size_t token) const;
  bool Has(size_t token) const;
  size_t count() const;  // of fates so far

 private:
  mutable Mutex mutex_;
  std::condition_variable changed_;
  std::map<size_t, absl::Status> fates_ ABSL_GUARDED_BY(mutex_);
};

// Bytes of a test matrix, each row different, and messages over it.
struct Matrix {
  Matrix(uint32_t rows, uint32_t elements, uint64_t seed);
  RowsView View() const { return {bytes.data(), elements * 4u, elements * 4u, rows, {}}; }

  uint32_t rows;
  uint32_t elements;
  std::vector<std::byte> bytes;
};

MessageHeader DispatchOf(const Matrix& matrix, uint64_t sequence);
Hello HelloOf(const std::string& name, WorkerRole role);
PeerExpectation ExpectationOf(const Hello& hello);

// a0 (attention) and e0 (expert), not yet joined by a channel.
class ChannelConformance : public testing::TestWithParam<FleetKind> {
 protected:
  // One worker on the fleet.
  struct Worker {
    Hello hello;
    Recorder recorder;
    Transport* transport = nullptr;
  };

  ChannelConformance();
  ~ChannelConformance() override;

  Worker& Add(const std::string& name, WorkerRole role, bool with_hello = true);
  std::shared_ptr<Channel> Open(Worker& from, Worker& to);
  // Opens from a0 to e0 and waits until both ends are open.
  void Connect();

  std::unique_ptr<Fleet> fleet_;
  std::map<std::string, std::unique_ptr<Worker>> workers_;
  Worker& a0_;
  Worker& e0_;
  std::shared_ptr<Channel> a_;  // a0's end, once connected
  std::shared_ptr<Channel> e_;  // e0's end
};

inline std::string NameOfKind(const testing::TestParamInfo<FleetKind>& info) {
  return info.param.name;
}

}  // namespace expertmesh
