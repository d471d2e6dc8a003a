#include "rpc/fleet_delta.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

using State = v1::GetTopologyResponse;

// Random states, each made of the one before by a few changes.
class RandomFleet {
 public:
  explicit RandomFleet(uint64_t seed) : random_(seed) {}

  State Next() {
    for (int changes = Below(4); changes > 0; --changes) ChangeOne();
    return state_;
  }

 private:
  int Below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }

  template <typename Items>
  void ChangeAmong(Items* items) {
    const std::string name = absl::StrCat("w", Below(6));
    const auto found = std::find_if(items->begin(), items->end(),
                                    [&](const auto& item) { return item.name() == name; });
    if (found == items->end()) {
      auto* item = items->Add();
      item->set_name(name);
      item->set_role(Below(2) == 0 ? v1::WORKER_ROLE_ATTENTION : v1::WORKER_ROLE_EXPERT);
    } else if (Below(3) == 0) {
      items->erase(found);
    } else {
      found->set_address(absl::StrCat("at-", Below(100)));
      found->set_state(static_cast<v1::WorkerState>(1 + Below(6)));
      if (Below(4) == 0) found->set_role(v1::WORKER_ROLE_EXPERT);
    }
    std::sort(items->pointer_begin(), items->pointer_end(), [](const auto* a, const auto* b) {
      return a->role() != b->role() ? a->role() < b->role() : a->name() < b->name();
    });
  }

  void ChangeOne() {
    switch (Below(6)) {
      case 0:
        return state_.set_missing(absl::StrCat(Below(3)));
      case 1:
        return state_.clear_missing();
      case 2:
        return state_.mutable_topology()->mutable_epoch()->set_counter(Below(9));
      case 3:
        return ChangeAmong(state_.mutable_topology()->mutable_members());
      default:
        return ChangeAmong(state_.mutable_workers());
    }
  }

  std::mt19937_64 random_;
  State state_;
};

TEST(FleetDelta, MakesEachStateOfTheOneBefore) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    RandomFleet fleet(seed);
    State told, mine;
    for (int step = 0; step < 200; ++step) {
      const State next = fleet.Next();
      v1::FleetEvent event;
      *event.mutable_delta() = DifferenceOf(told, next);
      event.set_hash(HashOf(next));
      ASSERT_TRUE(ApplyEvent(event, mine).ok()) << "seed " << seed << ", step " << step;
      ASSERT_EQ(mine.SerializeAsString(), next.SerializeAsString()) << "seed " << seed;
      told = next;
    }
  }
}

TEST(FleetDelta, HasNothingButWhatDiffers) {
  State before;
  for (const char* name : {"a", "b", "c"}) before.add_workers()->set_name(name);
  before.mutable_topology()->add_members()->set_name("a");
  EXPECT_EQ(DifferenceOf(before, before).ByteSizeLong(), 0u);
  State after = before;
  after.mutable_workers()->DeleteSubrange(0, 1);
  after.mutable_workers(1)->set_threads(3);
  const v1::FleetDelta delta = DifferenceOf(before, after);
  EXPECT_FALSE(delta.has_rest());
  ASSERT_EQ(delta.workers_size(), 1);
  EXPECT_EQ(delta.workers(0).threads(), 3u);
  ASSERT_EQ(delta.workers_gone_size(), 1);
  EXPECT_EQ(delta.workers_gone(0), "a");
  EXPECT_EQ(delta.members_size() + delta.members_gone_size(), 0);
}

TEST(FleetDelta, ASnapshotReplacesWhatWasThere) {
  State state;
  state.add_workers()->set_name("old");
  v1::FleetEvent event;
  event.mutable_snapshot()->set_missing("all");
  event.set_hash(HashOf(event.snapshot()));
  ASSERT_TRUE(ApplyEvent(event, state).ok());
  EXPECT_EQ(state.workers_size(), 0);
  EXPECT_EQ(state.missing(), "all");
}

TEST(FleetDelta, ALostOrWrongEventIsNoticed) {
  State one, two;
  one.set_missing("one");
  two = one;
  two.add_workers()->set_name("a");
  v1::FleetEvent event;
  *event.mutable_delta() = DifferenceOf(one, two);
  event.set_hash(HashOf(two));
  State mine;  // never had the first
  EXPECT_EQ(ApplyEvent(event, mine).code(), absl::StatusCode::kDataLoss);
  mine = one;
  EXPECT_TRUE(ApplyEvent(event, mine).ok());
  event.Clear();
  EXPECT_EQ(ApplyEvent(event, mine).code(), absl::StatusCode::kDataLoss) << "no hash";
}

}  // namespace
}  // namespace expertmesh
