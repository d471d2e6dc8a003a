// test_node.h: an attention worker's whole core between fakes: a stub model whose next token
// depends on every token before it and on every expert that was asked, control, a transport,
// clients.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attention_worker/core/attention_node.h"
#include "attention_worker/core/test_fakes.h"

namespace expertmesh {

// Integers below kPrime in the place of activations: exact in f32, and wrong all over when one row,
// block or expert is.
class StubModel final : public LayerCompute {
 public:
  static constexpr int32_t kPrime = 9973;
  static constexpr int32_t kVocabulary = 50;
  static constexpr ExpertGrid kGrid{1, 2, 4};  // a dense layer, then two of four experts
  static constexpr int32_t kLayers = 3;
  static constexpr int32_t kBlockRows = 4;

  explicit StubModel(int32_t blocks) : cache_(blocks * kBlockRows, -1) {
    shape_ = {.layers = kLayers,
              .grid = kGrid,
              .hidden = 1,
              .top_k = 2,
              .block_rows = kBlockRows,
              .blocks = blocks};
  }

  const ModelShape& shape() const override { return shape_; }
  void Load(uint64_t token) override { told.push_back(token); }
  absl::Status FinishLoad() override { return load_result; }
  void LoadProgress(uint64_t* loaded, uint64_t* wanted) const override { *loaded = *wanted = 0; }

  void Begin(const StepPlan& plan) override {
    plan_ = &plan;
    for (const BlockCopy& copy : plan.copies) {
      std::copy_n(cache_.begin() + copy.from * kBlockRows, copy.rows,
                  cache_.begin() + copy.to * kBlockRows);
    }
    most_rows = std::max(most_rows, plan.rows());
    all_rows += plan.rows();
    rows_.assign(plan.rows(), {});
    for (const StepPlan::Output& output : plan.outputs) {
      if (output.sampling != nullptr) asked.emplace_back(*output.sampling);
    }
  }
  void Embed() override {
    for (int32_t row = 0; row < plan_->rows(); ++row)
      At(row, plan_->positions[row]) = plan_->tokens[row];
  }
  void Attention(int32_t) override {
    for (int32_t row = 0; row < plan_->rows(); ++row) {
      int64_t sum = 0;
      for (int32_t p = 0; p <= plan_->positions[row]; ++p) sum += Mix(p, At(row, p));
      rows_[row].x = AfterAttention(rows_[row].x, sum);
    }
  }
  void Dense(int32_t) override {
    for (Row& row : rows_) row.x = AfterDense(row.x);
  }
  void Gate(int32_t) override {
    chosen_.clear();
    hidden_.clear();
    for (const Row& row : rows_) {
      for (int k : {0, 1}) chosen_.push_back(Chosen(row.x, k));
      hidden_.push_back(static_cast<float>(row.x));
    }
    experts_.assign(rows_.size() * 2, -1.0f);
  }
  void Shared(int32_t) override {}
  void Combine(int32_t) override {
    for (size_t row = 0; row < rows_.size(); ++row) {
      rows_[row].x = AfterExperts(rows_[row].x, experts_[row * 2], experts_[row * 2 + 1]);
    }
  }
  void Head() override {}
  void Notify(uint64_t token) override { told.push_back(token); }
  absl::Span<const int32_t> chosen_experts() const override { return chosen_; }
  const std::byte* hidden_rows() const override {
    return reinterpret_cast<const std::byte*>(hidden_.data());
  }
  std::byte* expert_rows() override { return reinterpret_cast<std::byte*>(experts_.data()); }
  StepOutput output(size_t i) override {
    const StepPlan::Output& wanted = plan_->outputs[i];
    const int32_t x = rows_[wanted.row].x;
    if (wanted.wanted != StepPlan::Output::Wanted::kToken) {
      values_ = State(x);
      if (i == 0 && poison.has_value()) values_[1] = *poison;
      return {.values = values_};
    }
    top_.clear();
    for (int32_t k = 0; k < wanted.top; ++k) top_.push_back({(x + k) % kVocabulary, -1.0f - k});
    StepOutput output{x % kVocabulary, Logprob(x, 0), Logprob(x, wanted.target), top_, {}};
    if (i == 0 && poison.has_value()) {
      (wanted.target < 0 ? output.logprob : output.target_logprob) = *poison;
    }
    return output;
  }

  // The arithmetic, which Reference does once more, token by token.
  static int64_t Mix(int32_t position, int32_t token) { return (position + 1) * (token + 3); }
  static int32_t AfterAttention(int64_t x, int64_t sum) { return (x * 7 + sum) % kPrime; }
  static int32_t AfterDense(int64_t x) { return (x * 3 + 1) % kPrime; }
  static int32_t Chosen(int32_t x, int k) { return (x % 4 + k * (1 + x / 4 % 3)) % 4; }
  static float Expert(float x, uint32_t expert) {
    return static_cast<float>((static_cast<int64_t>(x) * 31 + (expert + 1) * 101) % kPrime);
  }
  static int32_t AfterExperts(int64_t x, float first, float second) {
    return (x + 2 * static_cast<int64_t>(first) + 3 * static_cast<int64_t>(second)) % kPrime;
  }
  static std::vector<float> State(int32_t x) {
    return {static_cast<float>(x % 11) - 5, static_cast<float>(x % 7) - 2.5f};
  }
  static float Logprob(int32_t x, int32_t target) {
    return -static_cast<float>((x + target) % kPrime) / 1000;
  }

  std::vector<uint64_t> told;  // tokens to be given to OnComputed
  absl::Status load_result;
  int32_t most_rows = 0;             // of any step
  int32_t all_rows = 0;              // of all steps
  std::optional<float> poison;       // instead of the logprob of every step's first output
  std::vector<SamplingState> asked;  // of every id that was chosen, in order; it is always the same

 private:
  struct Row {
    int32_t x = 0;
  };

  int32_t& At(int32_t row, int32_t position) {
    const int32_t block =
        plan_->blocks[plan_->slots[row] * plan_->blocks_stride + position / kBlockRows];
    return cache_[block * kBlockRows + position % kBlockRows];
  }

  ModelShape shape_;
  std::vector<int32_t> cache_;  // [blocks, kBlockRows] token
  const StepPlan* plan_ = nullptr;
  std::vector<Row> rows_;
  std::vector<int32_t> chosen_;
  std::vector<float> hidden_, experts_;
  std::vector<TokenLogprob> top_;
  std::vector<float> values_;
};

// What the stub model says of a prompt by itself.
struct Reference {
  explicit Reference(std::vector<int32_t> tokens, int32_t outputs) {
    const size_t prompt = tokens.size();
    while (tokens.size() < prompt + outputs) {
      const int32_t x = At(tokens, tokens.size() - 1);
      tokens.push_back(x % StubModel::kVocabulary);
      ids.push_back(tokens.back());
      logprobs.push_back(StubModel::Logprob(x, 0));
    }
    for (size_t p = 0; p + 1 < prompt; ++p) {
      prompt_logprobs.push_back(StubModel::Logprob(At(tokens, p), tokens[p + 1]));
    }
  }

  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  std::vector<float> prompt_logprobs;

  // The last layer's x at a position.
  static int32_t At(const std::vector<int32_t>& tokens, size_t position) {
    int64_t sum = 0;
    for (size_t p = 0; p <= position; ++p)
      sum += StubModel::Mix(static_cast<int32_t>(p), tokens[p]);
    int32_t x = 0;
    for (int32_t layer = 0; layer < StubModel::kLayers; ++layer) {
      x = StubModel::AfterAttention(x, sum);
      if (layer < StubModel::kGrid.first_layer) {
        x = StubModel::AfterDense(x);
        continue;
      }
      const float in = static_cast<float>(x);
      x = StubModel::AfterExperts(x, StubModel::Expert(in, StubModel::Chosen(x, 0)),
                                  StubModel::Expert(in, StubModel::Chosen(x, 1)));
    }
    return x;
  }
};

inline std::vector<int32_t> Prompt(int32_t length, int32_t salt = 0) {
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < length; ++i) {
    prompt.push_back((i * 17 + salt * 5 + 2) % StubModel::kVocabulary);
  }
  return prompt;
}

// One client's view of its request.
struct TestClient final : GenerationListener {
  void OnDelta(RequestId, Delta delta) override {
    for (const OutputToken& token : delta.tokens) {
      ids.push_back(token.id);
      logprobs.push_back(token.logprob);
      top_sizes.push_back(token.top.size());
    }
    values.insert(values.end(), delta.values.begin(), delta.values.end());
    if (!delta.prompt_logprobs.empty()) prompt_logprobs.push_back(delta.prompt_logprobs);
    last = std::move(delta);
    ++deltas;
    deltas_after_end += ends.empty() ? 0 : 1;
  }
  void OnEnd(RequestId, absl::Status status) override { ends.push_back(std::move(status)); }
  bool ended() const { return !ends.empty(); }

  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  std::vector<size_t> top_sizes;
  std::vector<std::vector<float>> prompt_logprobs;  // one entry per delta that had some
  std::vector<float> values;
  Delta last;
  int deltas = 0;
  int deltas_after_end = 0;
  std::vector<absl::Status> ends;
};

class TestControlLink final : public ControlLink {
 public:
  void Connect(ControlLinkListener*) override { ++connects; }
  void Send(const Report& report) override { reports.push_back(report); }
  void Stop() override {}

  int connects = 0;
  std::vector<Report> reports;
};

struct NodeRigOptions {
  SchedulerLimits scheduler{.max_step_rows = 64, .prefill_chunk = 64};
  int32_t max_sequences = 8;
  int32_t max_waiting = 8;
  Duration coverage_wait = std::chrono::seconds(2);
  int32_t blocks = 64;
  int32_t max_context = 64;
  std::vector<int32_t> eos;
  std::vector<std::string> labels;
  std::optional<int32_t> pad;
  bool generates = true;
};

class NodeRig {
 public:
  explicit NodeRig(NodeRigOptions options = {})
      : compute(options.blocks),
        node(NodeOptions(options), &compute, &control, nullptr, &transport, &host) {}

  // Loaded, with a lease, and e0 (experts 0 and 1) and e1 (2 and 3) open.
  void Serve() {
    node.Start(TestTime(0));
    node.OnLinkUp(TestTime(0));
    Settle(0);
    Say(0, TopologyOf(StubModel::kGrid, {Expert("e0", 0, 1), Expert("e1", 2, 3)}));
    Open("e0", 0);
    Open("e1", 0);
    Settle(0);
  }
  static Member Expert(const std::string& name, int32_t first, int32_t last) {
    return ExpertMember(name, StubModel::kGrid, first, last);
  }
  void Open(const std::string& name, int64_t ms) {
    Hello hello;
    hello.name = name;
    node.OnOpened(transport.To(name), hello, TestTime(ms));
  }
  void Close(const std::string& name, int64_t ms) {
    node.OnClosed(transport.To(name)->id(), absl::UnavailableError("reset"), TestTime(ms));
  }
  // A command: a lease, and maybe more.
  void Say(int64_t ms, std::shared_ptr<const Topology> topology = nullptr,
           const std::string& fenced = "") {
    Command command;
    command.term = 1;
    command.number = ++command_number_;
    command.incarnation = {1, 5};
    command.lease = lease;
    command.topology = std::move(topology);
    command.fenced = fenced;
    node.OnCommand(command, TestTime(ms));
  }

  static GenerateRequest Request(std::vector<int32_t> prompt, int32_t max_tokens) {
    GenerateRequest request;
    request.prompt = std::move(prompt);
    request.max_tokens = max_tokens;
    request.logprobs = true;
    return request;
  }
  void Submit(RequestId id, GenerateRequest request, TestClient& client, int64_t ms = 0) {
    node.Submit(id, std::move(request), &client, TestTime(ms));
  }

  // One round: what was asked for so far is answered, then the node's turn. False when nothing was.
  bool Round(int64_t ms) {
    bool moved = false;
    for (uint64_t token : std::exchange(compute.told, {})) {
      node.OnComputed(token, TestTime(ms));
      moved = true;
    }
    for (uint64_t token : std::exchange(host.sent, {})) {
      node.OnSent(token, TestTime(ms));
      moved = true;
    }
    for (size_t i = 0; i < transport.channels.size() && answering; ++i) {
      const std::shared_ptr<FakeChannel> channel = transport.channels[i];
      for (size_t& next = answered_[channel->id()]; next < channel->dispatches.size();
           moved = true) {
        node.OnMessage(channel->id(),
                       CombineFor<float>(channel->dispatches[next++], StubModel::Expert),
                       TestTime(ms));
      }
    }
    node.Tick(TestTime(ms));
    return moved || !compute.told.empty();
  }
  // Until nothing moves any more.
  void Settle(int64_t ms) {
    while (Round(ms) || Round(ms)) {  // the first may only have sent what the second answers
    }
  }
  // Until `client` has this many tokens; false when it never gets there.
  bool RunUntil(const TestClient& client, size_t tokens, int64_t ms = 0) {
    while (client.ids.size() < tokens) {
      if (!Round(ms)) return false;
    }
    return true;
  }

  StubModel compute;
  TestControlLink control;
  FakeTransport transport;
  FakeHost host;
  bool answering = true;  // the expert workers answer
  Duration lease = std::chrono::hours(1);
  AttentionNode node;

 private:
  static AttentionNodeOptions NodeOptions(const NodeRigOptions& options) {
    AttentionNodeOptions out;
    out.identity.name = "a0";
    out.identity.role = WorkerRole::kAttention;
    out.identity.model.grid = StubModel::kGrid;
    out.identity.model.hidden = 1;
    out.limits.vocabulary = StubModel::kVocabulary;
    out.limits.max_context = options.max_context;
    out.limits.eos_token_ids = options.eos;
    out.limits.labels = options.labels;
    out.limits.pad_token_id = options.pad;
    out.limits.generates = options.generates;
    out.limits.hidden = 2;
    out.batch = {options.scheduler, options.max_sequences};
    out.max_waiting = options.max_waiting;
    out.coverage_wait = options.coverage_wait;
    return out;
  }

  uint64_t command_number_ = 0;
  std::map<ChannelId, size_t> answered_;
};

}  // namespace expertmesh
