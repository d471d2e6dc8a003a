// test_node.h: an expert worker's core between fakes: attention workers that send what the test
// says, a compute half that finishes when it is told to.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "expert_worker/core/expert_node.h"

namespace expertmesh {

inline constexpr ExpertGrid kNodeGrid{1, 2, 4};  // layers 1 and 2 of four experts
inline constexpr uint32_t kNodeHidden = 2;

inline constexpr Time TestTime(int64_t ms) {
  return Time{} + std::chrono::hours(1) + Milliseconds(ms);
}

// The channel of one attention worker: keeps what is sent on it.
class PeerChannel final : public Channel {
 public:
  struct Sent {
    MessageHeader header;
    std::vector<float> rows;
    std::vector<uint64_t> numbers;
  };

  explicit PeerChannel(ChannelId id) : id_(id) {}
  ChannelId id() const override { return id_; }
  absl::Status Send(const MessageHeader& header, const Body& body, Event,
                    SentCallback callback) override {
    if (!send_error.ok()) return send_error;
    Sent message{header, {}, {body.numbers.begin(), body.numbers.end()}};
    for (size_t i = 0; i < body.rows.rows; ++i) {
      const size_t at = message.rows.size();
      message.rows.resize(at + body.rows.row_bytes / sizeof(float));
      std::memcpy(message.rows.data() + at, body.rows.row(i), body.rows.row_bytes);
    }
    std::vector<Sent>& kept = header.kind == MessageKind::kPong      ? pongs
                              : header.kind == MessageKind::kNotHere ? absences
                                                                     : combines;
    kept.push_back(std::move(message));
    if (callback) unsent.push_back(std::move(callback));
    return absl::OkStatus();
  }
  void Close(absl::Status why) override { closes.push_back(std::move(why)); }
  bool closed() const { return !closes.empty(); }

  absl::Status send_error;
  std::vector<Sent> combines;
  std::vector<Sent> pongs;
  std::vector<Sent> absences;        // NOT_HERE
  std::vector<SentCallback> unsent;  // messages whose memory is still read
  std::vector<absl::Status> closes;

 private:
  ChannelId id_;
};

class HelloTransport final : public Transport {
 public:
  std::shared_ptr<Channel> Open(absl::string_view, const PeerExpectation&) override {
    return nullptr;  // an expert worker dials nobody
  }
  void SetHello(const Hello& mine) override { hello = mine; }
  void Stop() override {}

  Hello hello;
};

class ReportingLink final : public ControlLink {
 public:
  void Connect(ControlLinkListener*) override {}
  void Send(const Report& report) override { reports.push_back(report); }
  void Stop() override {}

  std::vector<Report> reports;
};

class TokenHost final : public NodeHost {
 public:
  SentCallback SentToken(uint64_t token) override {
    return [this, token](const absl::Status&) { sent.push_back(token); };
  }
  void Exit(const absl::Status& why) override { exits.push_back(why); }

  std::vector<uint64_t> sent;
  std::vector<absl::Status> exits;
};

// Expert e of layer l makes 2 x + 100 e + 1000 l of every element.
class ManualCompute final : public ExpertCompute {
 public:
  void Load(const ExpertSet& experts, uint64_t token) override {
    loads.push_back(experts);
    load_token = token;
  }
  absl::Status FinishLoad() override { return load_result; }
  void Unload(const ExpertSet& experts) override { unloads.push_back(experts); }
  void LoadProgress(uint64_t* loaded, uint64_t* wanted) const override {
    *loaded = loaded_bytes;
    *wanted = wanted_bytes;
  }
  void Run(int32_t layer, absl::Span<const PassRow> rows, uint64_t token) override {
    layers.push_back(layer);
    passes.emplace_back(rows.begin(), rows.end());
    pass_token = token;
  }
  // Computes the last pass: reads its rows and writes its outputs, which must still be there.
  void Compute() {
    for (const PassRow& row : passes.back()) {
      float values[kNodeHidden];
      std::memcpy(values, row.input, sizeof(values));
      for (float& v : values) v = Of(v, row.expert, layers.back());
      std::memcpy(row.output, values, sizeof(values));
    }
  }
  static float Of(float x, int32_t expert, int32_t layer) {
    return 2 * x + 100 * static_cast<float>(expert) + 1000 * static_cast<float>(layer);
  }

  std::vector<ExpertSet> loads, unloads;
  uint64_t load_token = 0;
  absl::Status load_result;
  uint64_t loaded_bytes = 0, wanted_bytes = 0;
  std::vector<int32_t> layers;  // of each pass
  std::vector<std::vector<PassRow>> passes;
  uint64_t pass_token = 0;
};

class ExpertRig {
 public:
  explicit ExpertRig(size_t max_pass_rows = 100, uint32_t hidden = kNodeHidden)
      : node(Options(max_pass_rows, hidden), &compute, &control, nullptr, &transport, &host) {}

  static ExpertSet Experts(int32_t first, int32_t last) {
    ExpertSet set(kNodeGrid);
    for (int32_t layer : {1, 2}) {
      for (int32_t e = first; e <= last; ++e) set.Insert(layer, e);
    }
    return set;
  }
  void Assign(const ExpertSet& experts, int64_t ms = 0, const std::string& fenced = "") {
    Command command;
    command.term = 1;
    command.number = ++command_number_;
    command.incarnation = {1, 9};
    command.lease = kLease;
    command.assigned = experts;
    command.fenced = fenced;
    node.OnCommand(command, TestTime(ms));
  }
  void Load(int64_t ms = 0) { node.OnComputed(compute.load_token, TestTime(ms)); }
  // READY with experts 0 to 2 of both layers.
  void Serve() {
    node.Start(TestTime(0));
    node.OnLinkUp(TestTime(0));
    Assign(Experts(0, 2));
    Load();
  }

  // An attention worker of incarnation 1#`number` opens a channel.
  std::shared_ptr<PeerChannel> Dial(uint64_t number) {
    auto channel = std::make_shared<PeerChannel>(++last_channel_);
    Hello hello;
    hello.name = "a" + std::to_string(number);
    hello.role = WorkerRole::kAttention;
    hello.incarnation = {1, number};
    node.OnOpened(channel, hello, TestTime(0));
    return channel;
  }
  // One row (x, x + 0.5) for each expert.
  static Message Dispatch(uint64_t number, uint64_t sequence, std::vector<uint32_t> experts,
                          uint32_t layer = 1, Lane lane = Lane::kDecode) {
    Message message;
    message.header.kind = MessageKind::kDispatch;
    message.header.lane = lane;
    message.header.call = {{1, number}, sequence};
    message.header.epoch = {1, 3};
    message.header.layer = layer;
    message.header.rows = static_cast<uint32_t>(experts.size());
    message.header.row_elements = kNodeHidden;
    std::vector<float> rows;
    for (uint32_t i = 0; i < experts.size(); ++i) {
      message.assignments.push_back({i, experts[i]});
      rows.push_back(Row(sequence, i));
      rows.push_back(Row(sequence, i) + 0.5f);
    }
    const auto* bytes = reinterpret_cast<const std::byte*>(rows.data());
    message.rows = Payload(std::vector<std::byte>(bytes, bytes + rows.size() * sizeof(float)));
    return message;
  }
  static float Row(uint64_t sequence, uint32_t row) {
    return static_cast<float>(sequence * 16 + row);
  }
  void Send(const std::shared_ptr<PeerChannel>& channel, Message message) {
    node.OnMessage(channel->id(), std::move(message), TestTime(0));
  }
  void Ping(const std::shared_ptr<PeerChannel>& channel, uint64_t ping) {
    Message message;
    message.header.kind = MessageKind::kPing;
    message.header.ping = ping;
    Send(channel, std::move(message));
  }
  void FinishPass() {
    compute.Compute();
    node.OnComputed(compute.pass_token, TestTime(0));
  }
  // The transport has let go of every message of the channel.
  void Flush(const std::shared_ptr<PeerChannel>& channel) {
    for (SentCallback& callback : std::exchange(channel->unsent, {})) callback(absl::OkStatus());
    for (uint64_t token : std::exchange(host.sent, {})) node.OnSent(token, TestTime(0));
  }
  void Close(const std::shared_ptr<PeerChannel>& channel) {
    node.OnClosed(channel->id(), absl::UnavailableError("reset"), TestTime(0));
  }

  ManualCompute compute;
  ReportingLink control;
  HelloTransport transport;
  TokenHost host;
  ExpertNode node;

 private:
  static ExpertNodeOptions Options(size_t max_pass_rows, uint32_t hidden) {
    ExpertNodeOptions options;
    options.identity.name = "e0";
    options.identity.role = WorkerRole::kExpert;
    options.identity.model.grid = kNodeGrid;
    options.identity.model.hidden = static_cast<int32_t>(hidden);
    options.identity.holds = ExpertSet(kNodeGrid);
    options.max_pass_rows = max_pass_rows;
    return options;
  }

  uint64_t command_number_ = 0;
  ChannelId last_channel_ = 0;
};

}  // namespace expertmesh
