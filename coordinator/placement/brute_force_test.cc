// The first placement against the best that there is, on cases small enough to try everything.
#include <gtest/gtest.h>

#include <bit>

#include "coordinator/placement/plan.h"
#include "coordinator/placement/test_traces.h"

namespace expertmesh {
namespace {

struct SmallCase {
  std::vector<double> loads;  // one layer
  std::vector<int64_t> rooms;
};

// The least load of the busiest worker over all ways to give each expert a set of workers.
class BestOfAll {
 public:
  explicit BestOfAll(const SmallCase& small)
      : small_(small), load_(small.rooms.size(), 0), left_(small.rooms) {}
  double Find() {
    Try(0);
    return best_;
  }

 private:
  void Try(size_t expert) {
    if (*std::max_element(load_.begin(), load_.end()) >= best_) return;
    if (expert == small_.loads.size()) {
      best_ = *std::max_element(load_.begin(), load_.end());
      return;
    }
    for (uint32_t set = 1; set < 1u << load_.size(); ++set) Give(expert, set);
  }
  void Give(size_t expert, uint32_t set) {
    const double share = small_.loads[expert] / std::popcount(set);
    bool fits = true;
    for (size_t w = 0; w < load_.size(); ++w) fits &= (set >> w & 1) == 0 || left_[w] > 0;
    if (!fits) return;
    const std::vector<double> before = load_;
    for (size_t w = 0; w < load_.size(); ++w) {
      if ((set >> w & 1) == 0) continue;
      load_[w] += share;
      --left_[w];
    }
    Try(expert + 1);
    for (size_t w = 0; w < load_.size(); ++w) left_[w] += set >> w & 1;
    load_ = before;
  }

  const SmallCase& small_;
  std::vector<double> load_;
  std::vector<int64_t> left_;
  double best_ = 1e300;
};

SmallCase RandomSmallCase(TraceRandom& random) {
  SmallCase small;
  const int64_t experts = 2 + random.Below(6), workers = 2 + random.Below(2);
  small.loads = ZipfLayer(static_cast<int32_t>(experts), 1.5 * random.Uniform(), random);
  for (double& load : small.loads) load *= 0.5 + random.Uniform();
  int64_t slots = 0;
  for (int64_t w = 0; w < workers; ++w) {
    small.rooms.push_back(1 + random.Below(experts));
    slots += small.rooms.back();
  }
  while (slots < experts) {
    ++small.rooms[random.Below(workers)];
    ++slots;
  }
  for (int64_t& room : small.rooms) room = std::min(room, experts);
  return small;
}

double BusiestOf(const SmallCase& small, const PlanOptions& options) {
  PlacementInput input;
  input.grid = {0, 1, static_cast<int32_t>(small.loads.size())};
  input.loads = small.loads;
  for (size_t w = 0; w < small.rooms.size(); ++w) {
    PlacementWorker worker;
    worker.name = std::string(1, static_cast<char>('a' + w));
    worker.room = small.rooms[w];
    input.workers.push_back(worker);
  }
  const Plan plan = PlanPlacement(input, options);
  EXPECT_TRUE(plan.uncovered.empty());
  const double sum = std::accumulate(small.loads.begin(), small.loads.end(), 0.0);
  return plan.after.total_max_over_mean * sum / static_cast<double>(small.rooms.size());
}

TEST(FirstPlacement, IsWithinFivePercentOfTheBestOfAllOnSmallCases) {
  PlanOptions options;
  options.reserve = 0;
  options.balance = true;
  double worst = 1;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    TraceRandom random(seed);
    const SmallCase small = RandomSmallCase(random);
    const double best = BestOfAll(small).Find();
    const double ours = BusiestOf(small, options);
    worst = std::max(worst, ours / best);
    EXPECT_LE(ours, 1.05 * best) << "seed " << seed << ": " << small.loads.size() << " experts, "
                                 << small.rooms.size() << " workers";
    EXPECT_GE(ours, 0.999999 * best) << "seed " << seed;
  }
  RecordProperty("worst_over_best", std::to_string(worst));
}

}  // namespace
}  // namespace expertmesh
