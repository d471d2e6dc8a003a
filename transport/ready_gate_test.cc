#include "transport/ready_gate.h"

#include <gtest/gtest.h>

#include <vector>

namespace expertmesh {
namespace {

// A stream that passes when it is told to.
class ManualStream final : public Stream {
 public:
  Event Record() override { return Event(this, 1); }
  void Wait(Event) override {}
  void Notify(Notifier* notifier, uint64_t token) override { asked_.emplace_back(notifier, token); }
  void Synchronize() override {}
  bool Passed(uint64_t) const override { return false; }
  MemoryKind memory_kind() const override { return MemoryKind::kHost; }
  void Pass() {
    for (auto [notifier, token] : asked_) notifier->OnPassed(token);
    asked_.clear();
  }

 private:
  std::vector<std::pair<Notifier*, uint64_t>> asked_;
};

TEST(ReadyGate, TellsTheTokenWhenTheStreamHasPassed) {
  std::vector<uint64_t> passed;
  auto gate = ReadyGate::Make([&](uint64_t token) { passed.push_back(token); });
  ManualStream stream;
  gate->Await(stream.Record(), 4);
  gate->Await(stream.Record(), 9);
  EXPECT_TRUE(passed.empty());
  stream.Pass();
  EXPECT_EQ(passed, (std::vector<uint64_t>{4, 9}));
}

TEST(ReadyGate, OutlivesItsTransportUntilTheStreamHasPassedAndIsSilentThen) {
  bool told = false;
  auto gate = ReadyGate::Make([&](uint64_t) { told = true; });
  std::weak_ptr<ReadyGate> watch = gate;
  ManualStream stream;
  gate->Await(stream.Record(), 1);
  gate->Detach();
  gate.reset();
  EXPECT_FALSE(watch.expired());
  stream.Pass();
  EXPECT_TRUE(watch.expired());
  EXPECT_FALSE(told);
}

}  // namespace
}  // namespace expertmesh
