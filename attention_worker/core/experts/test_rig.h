// test_rig.h: a dispatcher between fakes, with the rows of one layer at hand.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "attention_worker/core/experts/dispatcher.h"
#include "attention_worker/core/test_fakes.h"

namespace expertmesh {

inline constexpr ExpertGrid kRigGrid{1, 2, 4};  // layers 1 and 2 of four experts
inline constexpr Incarnation kRigIncarnation{3, 5};
inline constexpr float kUntouched = 99;    // what slots hold before
inline constexpr int64_t kRigWait = 2000;  // ms of coverage wait

// Rows of two f32, top-k of two. Row r is (10 r, 10 r + 1); expert e answers x + 1000 (e + 1).
class DispatcherRig {
 public:
  DispatcherRig()
      : dispatcher({.retries = {.share = 0.5, .per_second = 10, .most = 4},
                    .coverage_wait = Milliseconds(kRigWait),
                    .row_bytes = 8,
                    .row_elements = 2,
                    .top_k = 2},
                   &transport, &host,
                   [this](int32_t row, const absl::Status& why) { lost.emplace(row, why); }) {
    dispatcher.SetIncarnation(kRigIncarnation);
  }

  void Adopt(std::vector<Member> members, int64_t ms = 0) {
    dispatcher.AdoptTopology(TopologyOf(kRigGrid, std::move(members), ++counter_), TestTime(ms));
  }
  void AdoptEpoch(Epoch epoch, std::vector<Member> members, int64_t ms) {
    counter_ = epoch.counter - 1;
    Adopt(std::move(members), ms);
  }
  static Member Expert(const std::string& name, int32_t first, int32_t last, uint64_t number = 1) {
    return ExpertMember(name, kRigGrid, first, last, number);
  }
  // The handshake of the newest channel to `name` is done.
  FakeChannel& Open(const std::string& name, int64_t ms = 0) {
    std::shared_ptr<FakeChannel> channel = transport.To(name);
    Hello hello;
    hello.name = name;
    dispatcher.OnOpened(channel, hello, TestTime(ms));
    return *channel;
  }
  // e0 with experts 0 and 1, e1 with 2 and 3, both open.
  void OpenTwo() {
    Adopt({Expert("e0", 0, 1), Expert("e1", 2, 3)});
    Open("e0");
    Open("e1");
  }

  // `experts` has two entries for each row.
  void Dispatch(std::vector<int32_t> experts, int64_t ms = 0, std::vector<uint8_t> skip = {},
                int32_t layer = 1, Lane lane = Lane::kDecode) {
    experts_ = std::move(experts);
    const size_t rows = experts_.size() / 2;
    skip_ = skip.empty() ? std::vector<uint8_t>(rows, 0) : std::move(skip);
    hidden_.clear();
    for (size_t r = 0; r < rows; ++r) {
      hidden_.push_back(10.0f * static_cast<float>(r));
      hidden_.push_back(hidden_.back() + 1);
    }
    slots.assign(rows * 2 * 2, kUntouched);
    lost.clear();
    LayerRows layer_rows;
    layer_rows.layer = layer;
    layer_rows.lane = lane;
    layer_rows.rows = static_cast<int32_t>(rows);
    layer_rows.experts = experts_;
    layer_rows.hidden = reinterpret_cast<const std::byte*>(hidden_.data());
    layer_rows.slots = reinterpret_cast<std::byte*>(slots.data());
    layer_rows.skip = skip_;
    dispatcher.Dispatch(layer_rows, TestTime(ms));
  }
  void Skip(size_t row) { skip_[row] = 1; }
  // From `ms` on nobody comes to hold what is pending.
  void WaitInVain(int64_t ms = 0) {
    dispatcher.Tick(TestTime(ms));
    dispatcher.Tick(TestTime(ms + kRigWait));
  }
  // All `sent` tokens that have come reach the dispatcher.
  void DeliverSent(int64_t ms = 0) {
    for (size_t i = 0; i < host.sent.size(); ++i) dispatcher.OnSent(TestTime(ms));
    host.sent.clear();
  }
  static Message Combine(const SentMessage& dispatch) {
    return CombineFor<float>(
        dispatch, [](float x, uint32_t e) { return x + 1000 * static_cast<float>(e + 1); });
  }
  // The last dispatch on `name`'s channel is answered.
  void Answer(const std::string& name, int64_t ms = 0) {
    std::shared_ptr<FakeChannel> channel = transport.To(name);
    dispatcher.OnMessage(channel->id(), Combine(channel->dispatches.back()), TestTime(ms));
  }

  // Both elements of the slot of (row, k).
  std::vector<float> Slot(size_t row, size_t k) const {
    const size_t at = (row * 2 + k) * 2;
    return {slots[at], slots[at + 1]};
  }
  // What expert `e` says of row `row`.
  static std::vector<float> Of(size_t row, int32_t e) {
    const float x = 10.0f * static_cast<float>(row) + 1000.0f * static_cast<float>(e + 1);
    return {x, x + 1};
  }

  FakeTransport transport;
  FakeHost host;
  std::map<int32_t, absl::Status> lost;  // the first word on each row
  std::vector<float> slots;
  Dispatcher dispatcher;

 private:
  uint64_t counter_ = 0;
  std::vector<int32_t> experts_;
  std::vector<float> hidden_;
  std::vector<uint8_t> skip_;
};

}  // namespace expertmesh
