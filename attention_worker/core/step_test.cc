#include "attention_worker/core/step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "attention_worker/core/test_fakes.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kFirstToken = 100;

// Writes down what it is asked; every row's experts are 0 and 1, and no number means anything.
class LoggingCompute final : public LayerCompute {
 public:
  explicit LoggingCompute(ModelShape shape) : shape_(shape) {}

  const ModelShape& shape() const override { return shape_; }
  void Load(uint64_t) override {}
  absl::Status FinishLoad() override { return absl::OkStatus(); }
  void LoadProgress(uint64_t*, uint64_t*) const override {}

  void Begin(const StepPlan& plan) override {
    rows_ = static_cast<size_t>(plan.rows());
    chosen_.clear();
    for (size_t i = 0; i < rows_ * 2; ++i) chosen_.push_back(static_cast<int32_t>(i % 2));
    hidden_.assign(rows_, 1.0f);
    slots.assign(rows_ * 2, -1.0f);
    Log("begin");
  }
  void Embed() override { Log("embed"); }
  void Attention(int32_t layer) override { Log("attention", layer); }
  void Dense(int32_t layer) override { Log("dense", layer); }
  void Gate(int32_t layer) override { Log("gate", layer); }
  void Shared(int32_t layer) override {
    if (on_shared) on_shared();
    Log("shared", layer);
  }
  void Combine(int32_t layer) override { Log("combine", layer); }
  void Head() override { Log("head"); }
  void Notify(uint64_t token) override {
    tokens.push_back(token);
    Log("tell");
  }
  absl::Span<const int32_t> chosen_experts() const override { return chosen_; }
  const std::byte* hidden_rows() const override {
    return reinterpret_cast<const std::byte*>(hidden_.data());
  }
  std::byte* expert_rows() override { return reinterpret_cast<std::byte*>(slots.data()); }
  StepOutput output(size_t) override { return {}; }

  // What was asked since the last call.
  std::vector<std::string> Take() { return std::exchange(log_, {}); }

  std::vector<uint64_t> tokens;
  std::vector<float> slots;
  std::function<void()> on_shared;

 private:
  void Log(const char* what, int32_t layer = -1) {
    log_.push_back(layer < 0 ? what : absl::StrCat(what, " ", layer));
  }

  ModelShape shape_;
  size_t rows_ = 0;
  std::vector<int32_t> chosen_;
  std::vector<float> hidden_;
  std::vector<std::string> log_;
};

// A step machine over `layers` layers, those from `first_moe` on with experts, all held by e0.
struct Rig {
  Rig(int32_t layers, int32_t first_moe)
      : grid{first_moe, layers - first_moe, 2},
        compute({.layers = layers,
                 .grid = layers == first_moe ? ExpertGrid{} : grid,
                 .hidden = 1,
                 .top_k = 2}),
        dispatcher({.row_bytes = 4, .row_elements = 1, .top_k = 2}, &transport, &host,
                   [this](int32_t row, const absl::Status&) { lost.push_back(row); }),
        step(&compute, &dispatcher, kFirstToken) {
    if (layers == first_moe) return;
    dispatcher.AdoptTopology(TopologyOf(grid, {ExpertMember("e0", grid, 0, 1)}), TestTime(0));
    dispatcher.OnOpened(transport.To("e0"), Hello(), TestTime(0));
  }

  void Begin(int32_t rows, Lane lane = Lane::kDecode) {
    step.plan().Clear();
    step.plan().tokens.assign(static_cast<size_t>(rows), 1);
    step.Begin(lane);
  }
  // The newest token comes, and the step goes on.
  bool Compute() {
    step.OnComputed(compute.tokens.back());
    return step.Advance(TestTime(1));
  }
  void Answer() {
    FakeChannel& e0 = *transport.To("e0");
    dispatcher.OnMessage(
        e0.id(), CombineFor<float>(e0.dispatches.back(), [](float x, uint32_t e) { return x + e; }),
        TestTime(2));
    for (size_t i = 0; i < host.sent.size(); ++i) dispatcher.OnSent(TestTime(2));
    host.sent.clear();
  }

  ExpertGrid grid;
  LoggingCompute compute;
  FakeTransport transport;
  FakeHost host;
  std::vector<int32_t> lost;
  Dispatcher dispatcher;
  StepMachine step;
};

TEST(StepMachine, StandsStillOnlyWhereTheHostMustSeeSomething) {
  Rig rig(3, 1);  // dense, MoE, MoE
  EXPECT_TRUE(rig.step.idle());
  rig.Begin(1);
  EXPECT_THAT(rig.compute.Take(), ElementsAre("begin", "embed", "attention 0", "dense 0",
                                              "attention 1", "gate 1", "tell"));
  EXPECT_FALSE(rig.step.idle());
  EXPECT_FALSE(rig.Compute());
  EXPECT_THAT(rig.compute.Take(), ElementsAre("shared 1")) << "while the rows are away";
  EXPECT_EQ(rig.transport.To("e0")->dispatches.size(), 1u);
  rig.Answer();
  EXPECT_FALSE(rig.step.Advance(TestTime(3)));
  EXPECT_THAT(rig.compute.Take(), ElementsAre("combine 1", "attention 2", "gate 2", "tell"));
  EXPECT_FALSE(rig.Compute());
  rig.Answer();
  EXPECT_FALSE(rig.step.Advance(TestTime(4)));
  EXPECT_THAT(rig.compute.Take(), ElementsAre("shared 2", "combine 2", "head", "tell"));
  EXPECT_FALSE(rig.step.idle());
  EXPECT_TRUE(rig.Compute());
  EXPECT_TRUE(rig.step.idle());
  EXPECT_FALSE(rig.step.Advance(TestTime(5))) << "it ends once";
}

TEST(StepMachine, GoesThroughAModelWithoutExpertsInOne) {
  Rig rig(2, 2);
  rig.Begin(3);
  EXPECT_THAT(rig.compute.Take(), ElementsAre("begin", "embed", "attention 0", "dense 0",
                                              "attention 1", "dense 1", "head", "tell"));
  EXPECT_TRUE(rig.Compute());
  EXPECT_THAT(rig.transport.channels, IsEmpty());
}

TEST(StepMachine, GatesTheFirstLayerWhenNoLayerIsDense) {
  Rig rig(1, 0);
  rig.Begin(1);
  EXPECT_THAT(rig.compute.Take(), ElementsAre("begin", "embed", "attention 0", "gate 0", "tell"));
  rig.Compute();
  rig.Answer();
  rig.step.Advance(TestTime(3));
  EXPECT_TRUE(rig.Compute());
}

TEST(StepMachine, WaitsForEveryRowAndForTheMemoryOfWhatItSent) {
  Rig rig(1, 0);
  rig.transport.To("e0")->hold_sent = true;
  rig.Begin(2);
  rig.Compute();
  rig.compute.Take();
  rig.Answer();
  EXPECT_FALSE(rig.step.Advance(TestTime(3)));
  EXPECT_THAT(rig.compute.Take(), IsEmpty())
      << "h is still read, so the next layer may not write it";
  rig.transport.To("e0")->held[0](absl::OkStatus());
  rig.dispatcher.OnSent(TestTime(4));
  rig.step.Advance(TestTime(4));
  EXPECT_THAT(rig.compute.Take(), ElementsAre("combine 0", "head", "tell"));
}

TEST(StepMachine, IgnoresTokensThatItDoesNotWaitFor) {
  Rig rig(2, 1);
  rig.Begin(1);
  const uint64_t gate = rig.compute.tokens.back();
  EXPECT_GT(gate, kFirstToken);
  for (uint64_t stale : {uint64_t{0}, kFirstToken, gate - 1, gate + 1}) {
    rig.step.OnComputed(stale);
    EXPECT_FALSE(rig.step.Advance(TestTime(1)));
    EXPECT_THAT(rig.transport.To("e0")->dispatches, IsEmpty());
  }
  rig.step.OnComputed(gate);
  rig.step.OnComputed(gate - 1);  // takes nothing back
  rig.step.Advance(TestTime(2));
  rig.Answer();
  rig.step.Advance(TestTime(3));
  EXPECT_GT(rig.compute.tokens.back(), gate) << "each asks with a token of its own";
  rig.step.OnComputed(gate);  // once more
  EXPECT_FALSE(rig.step.Advance(TestTime(4)));
  EXPECT_TRUE(rig.Compute());
}

TEST(StepMachine, SendsRowsBeforeItPutsTheSharedExpertsOnTheStream) {
  Rig rig(1, 0);
  size_t sent = 0;
  rig.compute.on_shared = [&] { sent = rig.transport.To("e0")->dispatches.size(); };
  rig.Begin(1);
  rig.Compute();
  EXPECT_EQ(sent, 1u);
}

TEST(StepMachine, TellsTheLaneOfTheStep) {
  for (Lane lane : {Lane::kDecode, Lane::kPrefill}) {
    Rig rig(1, 0);
    rig.Begin(1, lane);
    rig.Compute();
    EXPECT_EQ(rig.transport.To("e0")->dispatches[0].header.lane, lane);
  }
}

TEST(StepMachine, AsksNoExpertForRowsThatAreSkipped) {
  Rig rig(2, 0);
  rig.Begin(3);
  rig.step.Skip(1);
  rig.Compute();
  EXPECT_EQ(rig.transport.To("e0")->dispatches[0].header.rows, 2u);
  EXPECT_THAT(rig.compute.slots, ElementsAre(-1, -1, 0, 0, -1, -1));
  rig.step.Skip(0);  // while its rows are away: the next layer's are not sent
  rig.Answer();
  rig.step.Advance(TestTime(3));
  rig.Compute();
  EXPECT_EQ(rig.transport.To("e0")->dispatches[1].header.rows, 1u);
  rig.Answer();
  rig.step.Advance(TestTime(4));
  EXPECT_TRUE(rig.Compute());
  rig.Begin(3);
  rig.Compute();
  EXPECT_EQ(rig.transport.To("e0")->dispatches[2].header.rows, 3u) << "a new step skips none";
}

TEST(StepMachine, GoesOnAtOnceWhenNoExpertIsAsked) {
  Rig rig(1, 0);
  rig.Begin(1);
  rig.step.Skip(0);
  rig.compute.Take();
  EXPECT_FALSE(rig.Compute());
  EXPECT_THAT(rig.compute.Take(), ElementsAre("shared 0", "combine 0", "head", "tell"));
  EXPECT_TRUE(rig.Compute());
}

TEST(StepMachine, GoesOnWhenTheExpertsAreLost) {
  Rig rig(1, 0);
  rig.Begin(2);
  rig.Compute();
  rig.dispatcher.OnClosed(rig.transport.To("e0")->id(), absl::UnavailableError("x"), TestTime(2));
  rig.dispatcher.OnSent(TestTime(2));
  rig.dispatcher.Tick(TestTime(2));
  EXPECT_FALSE(rig.step.Advance(TestTime(2)));
  EXPECT_FALSE(rig.Compute()) << "it waits for them first";
  rig.dispatcher.Tick(TestTime(2) + DispatcherOptions().coverage_wait);
  EXPECT_THAT(rig.lost, testing::Contains(0));
  EXPECT_THAT(rig.lost, testing::Contains(1));
  rig.step.Advance(TestTime(3));
  EXPECT_TRUE(rig.Compute()) << "the step ends; its sequences know what they lost";
}

}  // namespace
}  // namespace expertmesh
