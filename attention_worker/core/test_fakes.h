// test_fakes.h: what stands around an attention worker's core in its tests: channels that keep what
// is sent, a transport that opens nothing by itself, a host that collects tokens.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "transport/worker_loop.h"

namespace expertmesh {

inline constexpr Time TestTime(int64_t ms) {
  return Time{} + std::chrono::hours(1) + Milliseconds(ms);
}

// A message as it left: header, lists, and the bytes of its rows, one after the other.
struct SentMessage {
  MessageHeader header;
  std::vector<Assignment> assignments;
  std::vector<std::byte> rows;

  template <typename T>
  T Element(size_t i) const {
    T value;
    std::memcpy(&value, rows.data() + i * sizeof(T), sizeof(T));
    return value;
  }
};

class FakeChannel final : public Channel {
 public:
  FakeChannel(ChannelId id, std::string address, PeerExpectation expected)
      : address(std::move(address)), expected(std::move(expected)), id_(id) {}

  ChannelId id() const override { return id_; }
  absl::Status Send(const MessageHeader& header, const Body& body, Event ready,
                    SentCallback sent) override {
    if (!send_error.ok()) return send_error;
    SentMessage message{header, {body.assignments.begin(), body.assignments.end()}, {}};
    for (size_t i = 0; i < body.rows.rows; ++i) {
      const std::byte* row = body.rows.row(i);
      message.rows.insert(message.rows.end(), row, row + body.rows.row_bytes);
    }
    (header.kind == MessageKind::kPing ? pings : dispatches).push_back(std::move(message));
    if (sent && hold_sent) {
      held.push_back(std::move(sent));
    } else if (sent) {
      sent(absl::OkStatus());
    }
    return absl::OkStatus();
  }
  void Close(absl::Status why) override { closes.push_back(std::move(why)); }
  bool closed() const { return !closes.empty(); }

  std::string address;
  PeerExpectation expected;
  absl::Status send_error;
  bool hold_sent = false;  // `sent` waits in `held`
  std::vector<SentCallback> held;
  std::vector<SentMessage> dispatches;
  std::vector<SentMessage> pings;
  std::vector<absl::Status> closes;

 private:
  ChannelId id_;
};

class FakeTransport final : public Transport {
 public:
  std::shared_ptr<Channel> Open(absl::string_view address,
                                const PeerExpectation& expected) override {
    channels.push_back(
        std::make_shared<FakeChannel>(channels.size() + 1, std::string(address), expected));
    return channels.back();
  }
  void SetHello(const Hello& mine) override { hello = mine; }
  void Stop() override {}

  // The newest channel to this peer; null: none.
  std::shared_ptr<FakeChannel> To(const std::string& name) const {
    for (auto it = channels.rbegin(); it != channels.rend(); ++it) {
      if ((*it)->expected.name == name) return *it;
    }
    return nullptr;
  }

  std::vector<std::shared_ptr<FakeChannel>> channels;  // in the order of Open; ids from 1
  Hello hello;
};

class FakeHost final : public NodeHost {
 public:
  SentCallback SentToken(uint64_t token) override {
    return [this, token](const absl::Status&) { sent.push_back(token); };
  }
  void Exit(const absl::Status& why) override { exits.push_back(why); }

  std::vector<uint64_t> sent;
  std::vector<absl::Status> exits;
};

// The combine that answers `dispatch`: element j of the row for (row, expert) is answer(x_j,
// expert).
template <typename T, typename Answer>
Message CombineFor(const SentMessage& dispatch, Answer answer) {
  Message combine;
  combine.header = dispatch.header;
  combine.header.kind = MessageKind::kCombine;
  combine.header.rows = static_cast<uint32_t>(dispatch.assignments.size());
  const size_t elements = dispatch.header.row_elements;
  std::vector<std::byte> bytes(dispatch.assignments.size() * elements * sizeof(T));
  for (size_t i = 0; i < dispatch.assignments.size(); ++i) {
    const Assignment& a = dispatch.assignments[i];
    for (size_t j = 0; j < elements; ++j) {
      const T value = answer(dispatch.Element<T>(a.row * elements + j), a.expert);
      std::memcpy(bytes.data() + (i * elements + j) * sizeof(T), &value, sizeof(T));
    }
  }
  combine.rows = Payload(std::move(bytes));
  return combine;
}

// An expert worker of a topology, READY with experts `first` to `last` of every layer.
inline Member ExpertMember(const std::string& name, ExpertGrid grid, int32_t first, int32_t last,
                           uint64_t number = 1) {
  Member member;
  member.name = name;
  member.role = WorkerRole::kExpert;
  member.incarnation = {1, number};
  member.address = "at-" + name;
  member.compute_class = {"cpu-f32", 7};
  member.state = WorkerState::kReady;
  member.holds = ExpertSet(grid);
  for (int32_t layer = grid.first_layer; layer < grid.first_layer + grid.layers; ++layer) {
    for (int32_t e = first; e <= last; ++e) member.holds.Insert(layer, e);
  }
  return member;
}

inline std::shared_ptr<const Topology> TopologyOf(ExpertGrid grid, std::vector<Member> members,
                                                  uint64_t counter = 1) {
  auto topology = std::make_shared<Topology>();
  topology->epoch = {1, counter};
  topology->model.grid = grid;
  topology->members = std::move(members);
  return topology;
}

}  // namespace expertmesh
