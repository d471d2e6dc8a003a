#include <algorithm>
#include <numeric>

#include "common/math.h"
#include "kernels/test_util.h"

namespace expertmesh {
namespace {

class SelectTest : public OpTest {
 protected:
  struct Choice {
    std::vector<int32_t> experts;
    Floats weights;
  };

  Choice Gate(Floats& logits, int64_t experts, int64_t groups, int64_t groups_kept, int64_t top_k,
              const float* bias = nullptr, bool renormalise = false) {
    const int64_t rows = static_cast<int64_t>(logits.size()) / experts;
    Choice choice{std::vector<int32_t>(rows * top_k), Floats(rows * top_k)};
    GateArgs args;
    args.logits = View(logits, experts);
    args.groups = groups;
    args.groups_kept = groups_kept;
    args.top_k = top_k;
    args.scaling = 2.5f;
    args.bias = bias;
    args.renormalise = renormalise;
    args.experts = choice.experts.data();
    args.weights = choice.weights.data();
    kernels_->Gate(*stream_, args);
    stream_->Synchronize();
    return choice;
  }

  struct Greeted {
    std::vector<int32_t> ids;
    Floats logprobs, target_logprobs;
    std::vector<TopLogit> top;
  };

  Greeted Greedy(Floats& logits, int64_t vocabulary, int32_t target, int32_t top) {
    const size_t rows = logits.size() / vocabulary;
    Greeted out{std::vector<int32_t>(rows), Floats(rows), Floats(rows),
                std::vector<TopLogit>(rows * top)};
    const std::vector<SampleRow> sampling(rows, {.target = target, .top = top});
    SampleArgs args;
    args.logits = View(logits, vocabulary);
    args.rows = sampling;
    args.top_stride = top;
    args.ids = out.ids.data();
    args.logprobs = out.logprobs.data();
    args.target_logprobs = out.target_logprobs.data();
    args.top = out.top.data();
    kernels_->Sample(*stream_, args);
    stream_->Synchronize();
    return out;
  }
};

// The softmax of one row, by the tree of ops.h.
Floats Scores(absl::Span<const float> logits) {
  const float m = *std::max_element(logits.begin(), logits.end());
  Floats p;
  for (float v : logits) p.push_back(Exp(v - m));
  const float sum = LaneSum(p);
  for (float& v : p) v = v / sum;
  return p;
}

TEST_P(SelectTest, GateTakesTheBestExpertsOfTheBestGroups) {
  constexpr int64_t kExperts = 40, kGroups = 8, kKept = 3, kTopK = 6, kRows = 20;
  Floats logits = Random(kRows * kExperts, 3);
  const Choice got = Gate(logits, kExperts, kGroups, kKept, kTopK);
  for (int64_t r = 0; r < kRows; ++r) {
    const Floats p = Scores({&logits[r * kExperts], kExperts});
    std::vector<int64_t> groups(kGroups), experts;
    std::iota(groups.begin(), groups.end(), 0);
    auto best = [&](int64_t g) { return *std::max_element(&p[g * 5], &p[g * 5] + 5); };
    std::stable_sort(groups.begin(), groups.end(),
                     [&](int64_t a, int64_t b) { return best(a) > best(b); });
    std::sort(groups.begin(), groups.begin() + kKept);
    for (int64_t i = 0; i < kKept * 5; ++i) experts.push_back(groups[i / 5] * 5 + i % 5);
    std::stable_sort(experts.begin(), experts.end(),
                     [&](int64_t a, int64_t b) { return p[a] > p[b]; });
    for (int64_t i = 0; i < kTopK; ++i) {
      EXPECT_EQ(got.experts[r * kTopK + i], experts[i]);
      ExpectSameBits({&got.weights[r * kTopK + i], 1}, {p[experts[i]] * 2.5f});
    }
  }
}

// DeepSeek-V3's: the bias chooses, and does not weigh.
TEST_P(SelectTest, GateWithABiasTakesTheBestExpertsOfTheGroupsOfTheBestPairs) {
  constexpr int64_t kExperts = 40, kGroups = 8, kKept = 3, kTopK = 6, kRows = 20;
  Floats logits = Random(kRows * kExperts, 3), bias = Random(kExperts, 1);
  for (bool renormalise : {false, true}) {
    const Choice got = Gate(logits, kExperts, kGroups, kKept, kTopK, bias.data(), renormalise);
    for (int64_t r = 0; r < kRows; ++r) {
      Floats p, c;
      for (int64_t e = 0; e < kExperts; ++e) {
        p.push_back(1.0f / (1.0f + Exp(-logits[r * kExperts + e])));
        c.push_back(p[e] + bias[e]);
      }
      std::vector<int64_t> groups(kGroups), experts;
      std::iota(groups.begin(), groups.end(), 0);
      auto pair = [&](int64_t g) {
        Floats of_group(&c[g * 5], &c[g * 5] + 5);
        std::sort(of_group.rbegin(), of_group.rend());
        return of_group[0] + of_group[1];
      };
      std::stable_sort(groups.begin(), groups.end(),
                       [&](int64_t a, int64_t b) { return pair(a) > pair(b); });
      std::sort(groups.begin(), groups.begin() + kKept);
      for (int64_t i = 0; i < kKept * 5; ++i) experts.push_back(groups[i / 5] * 5 + i % 5);
      std::stable_sort(experts.begin(), experts.end(),
                       [&](int64_t a, int64_t b) { return c[a] > c[b]; });
      float sum = 0;
      for (int64_t i = 0; i < kTopK; ++i) sum += p[experts[i]];
      for (int64_t i = 0; i < kTopK; ++i) {
        EXPECT_EQ(got.experts[r * kTopK + i], experts[i]);
        const float weight = renormalise ? p[experts[i]] / (sum + 1e-20f) : p[experts[i]];
        ExpectSameBits({&got.weights[r * kTopK + i], 1}, {weight * 2.5f});
      }
    }
  }
}

// Where all biased scores of the groups that are kept are below zero, those of other groups are
// not chosen for it.
TEST_P(SelectTest, GateWithABiasNeverLeavesTheGroupsThatItKeeps) {
  Floats logits(8, 0.0f), bias = {-3, -4, -5, -5, -9, -9, -9, -9};
  EXPECT_EQ(Gate(logits, 8, 4, 1, 2, bias.data()).experts, (std::vector<int32_t>{0, 1}));
  bias = {5, -20, -1, -1, -9, -9, -9, -9};  // the best expert is in a group of a bad second
  EXPECT_EQ(Gate(logits, 8, 4, 1, 2, bias.data()).experts, (std::vector<int32_t>{2, 3}));
}

TEST_P(SelectTest, GateBreaksTiesTowardsTheLowerExpertAndGroup) {
  Floats zeros(12, 0.0f);
  EXPECT_EQ(Gate(zeros, 12, 1, 1, 4).experts, (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(Gate(zeros, 12, 4, 2, 6).experts, (std::vector<int32_t>{0, 1, 2, 3, 4, 5}));
  Floats some = {0, 1, 0, 0, 5, 0, 1, 5, 0, 0, 1, 0};
  EXPECT_EQ(Gate(some, 12, 1, 1, 5).experts, (std::vector<int32_t>{4, 7, 1, 6, 10}));
  EXPECT_EQ(Gate(some, 12, 4, 2, 3).experts, (std::vector<int32_t>{4, 7, 6}));
}

TEST_P(SelectTest, GateChoosesDistinctExpertsWhateverTheLogitsAre) {
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    Floats logits(16, bad);
    for (int64_t groups : {1, 4}) {
      std::vector<int32_t> chosen = Gate(logits, 16, groups, groups == 1 ? 1 : 2, 6).experts;
      std::sort(chosen.begin(), chosen.end());
      EXPECT_EQ(std::unique(chosen.begin(), chosen.end()), chosen.end());
      EXPECT_GE(chosen.front(), 0);
      EXPECT_LT(chosen.back(), 16);
    }
  }
}

TEST_P(SelectTest, GateTakesAsManyExpertsAsItsContractSays) {
  Floats logits = Random(GateArgs::kExpertsMax);
  const Floats p = Scores(logits);
  const auto best = std::max_element(p.begin(), p.end()) - p.begin();
  EXPECT_EQ(Gate(logits, GateArgs::kExpertsMax, GateArgs::kExpertsMax, 8, 8).experts[0], best);
}

TEST_P(SelectTest, GreedySumsChunkByChunk) {
  for (int64_t vocabulary : {1, 5, 1024, 1025, 2500}) {
    Floats logits = Random(3 * vocabulary, 6);
    const int32_t target = static_cast<int32_t>(vocabulary / 2);
    const int32_t top = static_cast<int32_t>(std::min<int64_t>(vocabulary, 7));
    const Greeted got = Greedy(logits, vocabulary, target, top);
    for (int64_t r = 0; r < 3; ++r) {
      const float* x = &logits[r * vocabulary];
      const float m = *std::max_element(x, x + vocabulary);
      float sum = 0;
      double exact = 0;
      for (int64_t i = 0; i < vocabulary; i += 1024) {
        Floats p;
        for (int64_t j = i; j < std::min(i + 1024, vocabulary); ++j) p.push_back(Exp(x[j] - m));
        sum += LaneSum(p);
      }
      for (int64_t i = 0; i < vocabulary; ++i) exact += std::exp(static_cast<double>(x[i]) - m);
      EXPECT_EQ(x[got.ids[r]], m);
      ExpectSameBits({&got.logprobs[r], 1}, {0.0f - Log(sum)});
      ExpectSameBits({&got.target_logprobs[r], 1}, {(x[target] - m) - Log(sum)});
      EXPECT_NEAR(got.target_logprobs[r], x[target] - m - std::log(exact), 1e-5);
      std::vector<int32_t> order(vocabulary);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int32_t a, int32_t b) { return x[a] > x[b]; });
      for (int32_t i = 0; i < top; ++i) {
        EXPECT_EQ(got.top[r * top + i].id, order[i]);
        ExpectSameBits({&got.top[r * top + i].logprob, 1}, {(x[order[i]] - m) - Log(sum)});
      }
    }
  }
}

TEST_P(SelectTest, GreedyBreaksTiesTowardsTheLowerId) {
  Floats logits(2000, -1.0f);
  logits[1500] = logits[700] = logits[1999] = 3;
  const Greeted got = Greedy(logits, 2000, -1, 5);
  EXPECT_EQ(got.ids[0], 700);
  EXPECT_EQ(got.target_logprobs[0], 0);
  const int32_t want[] = {700, 1500, 1999, 0, 1};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(got.top[i].id, want[i]);
}

TEST_P(SelectTest, GreedyTellsOfNanByANanAndAValidId) {
  for (size_t place : {0, 7, 99}) {
    Floats logits = Random(100);
    logits[place] = NAN;
    const Greeted got = Greedy(logits, 100, 3, 4);
    EXPECT_GE(got.ids[0], 0);
    EXPECT_LT(got.ids[0], 100);
    EXPECT_TRUE(std::isnan(got.logprobs[0]));
    for (const TopLogit& t : got.top) EXPECT_TRUE(t.id >= 0 && t.id < 100);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, SelectTest, testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace expertmesh
