#include "kernels/cpu/sample.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <numeric>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/philox.h"
#include "kernels/test_util.h"

namespace expertmesh {
namespace {

// What ops.h says of one row, in double, by sorting everything, and with nothing but probabilities.
struct Reference {
  Reference(absl::Span<const float> x, const SampleRow& row) : y(x.begin(), x.end()) {
    Change(x, row);
    const double most = *std::max_element(y.begin(), y.end());
    std::vector<double> p;
    for (double v : y) p.push_back(std::exp((v - most) / row.temperature));
    order.resize(y.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return y[a] > y[b]; });
    while (p[order.back()] == 0) order.pop_back();
    for (int32_t id : order) sorted.push_back(p[id]);
    if (row.top_k > 0) Keep(row.top_k);
    Keep(order.size());
    if (row.top_p < 1) {
      double before = 0;
      size_t count = 0;
      while (count < sorted.size() && before < row.top_p) before += sorted[count++];
      Keep(count);
    }
    const double least = row.min_p * sorted[0];
    Keep(std::find_if(sorted.begin(), sorted.end(), [&](double v) { return v < least; }) -
         sorted.begin());
  }

  // The id at u, and how far u is from where another id would have been drawn.
  int32_t At(double u, double* margin) const {
    double sum = 0;
    for (size_t i = 0; i < sorted.size(); ++i) {
      *margin = std::min(u - sum, sum + sorted[i] - u);
      sum += sorted[i];
      if (sum > u) return order[i];
    }
    return order.back();
  }

  std::vector<double> y;       // [vocabulary] changed logits
  std::vector<int32_t> order;  // the ids that are kept, most likely first
  std::vector<double> sorted;  // their probabilities

 private:
  void Change(absl::Span<const float> x, const SampleRow& row) {
    if (row.restricted) {
      std::fill(y.begin(), y.end(), -INFINITY);
      for (int32_t id : row.allowed) y[id] = x[id];
    }
    for (size_t i = 0; i < row.bias_ids.size(); ++i) y[row.bias_ids[i]] += row.biases[i];
    for (size_t i = 0; i < row.seen_ids.size(); ++i) {
      double& v = y[row.seen_ids[i]];
      v = v < 0 ? v * row.repetition_penalty : v / row.repetition_penalty;
      v -= row.presence_penalty * (row.seen_counts[i] > 0) +
           static_cast<double>(row.frequency_penalty) * row.seen_counts[i];
    }
    for (int32_t id : row.masked) y[id] = -INFINITY;
  }
  void Keep(size_t count) {
    order.resize(std::min(count, order.size()));
    sorted.resize(order.size());
    const double sum = std::accumulate(sorted.begin(), sorted.end(), 0.0);
    for (double& v : sorted) v /= sum;
  }
};

class SampleTest : public OpTest {
 protected:
  // The ids chosen for rows of these logits.
  std::vector<int32_t> Choose(Floats& logits, absl::Span<const SampleRow> rows) {
    const size_t vocabulary = logits.size() / rows.size();
    std::vector<int32_t> ids(rows.size());
    logprobs_.resize(rows.size());
    Floats targets(rows.size()), scaled(logits.size());
    std::vector<uint64_t> order(logits.size());
    SampleArgs args;
    args.logits = View(logits, static_cast<int64_t>(vocabulary));
    args.rows = rows;
    args.ids = ids.data();
    args.logprobs = logprobs_.data();
    args.target_logprobs = targets.data();
    args.scaled = scaled.data();
    args.order = order.data();
    kernels_->Sample(*stream_, args);
    stream_->Synchronize();
    return ids;
  }

  // One row of logits, chosen from at output positions first, first + 1, ...
  std::vector<int32_t> Draw(const Floats& logits, SampleRow row, int draws, int first = 0) {
    Floats all;
    std::vector<SampleRow> rows;
    for (int i = 0; i < draws; ++i) {
      all.insert(all.end(), logits.begin(), logits.end());
      row.output_index = first + i;
      rows.push_back(row);
    }
    return Choose(all, rows);
  }

  Floats logprobs_;  // of the last call
};

constexpr int32_t kBiased[] = {2, 9, 30}, kSeen[] = {1, 4, 9, 33}, kCounts[] = {0, 3, 1, 2};
constexpr float kBiases[] = {2.5f, -1.0f, 0.5f};
constexpr int32_t kMasked[] = {0, 5}, kAllowed[] = {1, 2, 4, 5, 9, 12, 30, 31, 33, 38};

struct Setting {
  const char* name;
  SampleRow row;
};

std::vector<Setting> Settings() {
  SampleRow changed{.temperature = 1.25f};
  changed.bias_ids = kBiased;
  changed.biases = kBiases;
  changed.seen_ids = kSeen;
  changed.seen_counts = kCounts;
  changed.repetition_penalty = 1.5f;
  changed.presence_penalty = 0.75f;
  changed.frequency_penalty = 0.25f;
  changed.masked = kMasked;
  SampleRow restricted = changed;
  restricted.restricted = true;
  restricted.allowed = kAllowed;
  SampleRow all = changed;
  all.top_k = 20;
  all.top_p = 0.9f;
  all.min_p = 0.02f;
  return {{"temperature 1", {.temperature = 1}},
          {"temperature 0.5", {.temperature = 0.5f}},
          {"temperature 3", {.temperature = 3}},
          {"top-k 7", {.temperature = 1, .top_k = 7}},
          {"top-p 0.8", {.temperature = 1, .top_p = 0.8f}},
          {"min-p 0.1", {.temperature = 1, .min_p = 0.1f}},
          {"changed logits", changed},
          {"allowed ids", restricted},
          {"everything", all}};
}

// Pearson's statistic of `drawn` against the probabilities, bins of less than 5 expected together.
struct ChiSquare {
  ChiSquare(const Reference& reference, const std::map<int32_t, int>& drawn, int draws) {
    double rest_expected = 0, rest_seen = 0;
    for (size_t i = 0; i < reference.order.size(); ++i) {
      const auto found = drawn.find(reference.order[i]);
      const double seen = found == drawn.end() ? 0 : found->second;
      const double expected = reference.sorted[i] * draws;
      if (expected < 5) {
        rest_expected += expected;
        rest_seen += seen;
        continue;
      }
      Add(expected, seen);
    }
    if (rest_expected > 0) Add(rest_expected, rest_seen);
  }
  void Add(double expected, double seen) {
    value += (seen - expected) * (seen - expected) / expected;
    ++bins;
  }
  // Wilson and Hilferty's normal approximation: how many standard deviations too large.
  double Sigmas() const {
    const double freedom = bins - 1, v = 2 / (9 * freedom);
    return (std::cbrt(value / freedom) - (1 - v)) / std::sqrt(v);
  }

  double value = 0;
  int bins = 0;
};

TEST_P(SampleTest, TwentyThousandDrawsFollowTheExactProbabilities) {
  constexpr int kDraws = 20000, kAtOnce = 500;
  const Floats logits = Random(40, 3);
  uint64_t seed = 20240507;
  for (Setting& setting : Settings()) {
    setting.row.seed = seed++;
    const Reference reference(logits, setting.row);
    std::map<int32_t, int> drawn;
    for (int i = 0; i < kDraws; i += kAtOnce) {
      for (int32_t id : Draw(logits, setting.row, kAtOnce, i)) ++drawn[id];
    }
    for (const auto& [id, times] : drawn) {
      EXPECT_TRUE(std::count(reference.order.begin(), reference.order.end(), id))
          << setting.name << ": id " << id << " was filtered, and came " << times << " times";
    }
    const ChiSquare chi(reference, drawn, kDraws);
    std::printf("%s: %zu ids kept, chi-square %.1f in %d bins, %+.2f sigma\n", setting.name,
                reference.order.size(), chi.value, chi.bins, chi.Sigmas());
    EXPECT_LT(chi.Sigmas(), 3) << setting.name;
  }
}

// The id is the one that the reference finds at the same u, unless u is too close to a boundary for
// f32 to tell.
TEST_P(SampleTest, DrawsTheIdThatTheReferenceFindsAtTheSameNumber) {
  constexpr int kDraws = 40;
  int compared = 0;
  for (int64_t vocabulary : {40, 1025, 5000}) {
    const Floats logits = Random(vocabulary, 4);
    for (Setting& setting : Settings()) {
      setting.row.seed = static_cast<uint64_t>(vocabulary) << 33;
      setting.row.choice = 3;
      const Reference reference(logits, setting.row);
      const std::vector<int32_t> ids = Draw(logits, setting.row, kDraws);
      for (int i = 0; i < kDraws; ++i) {
        const double u =
            UniformDraw(setting.row.seed, {.choice = 3, .output_index = static_cast<uint32_t>(i)});
        double margin = 0;
        const int32_t want = reference.At(u, &margin);
        if (margin < 1e-5) continue;
        ++compared;
        EXPECT_EQ(ids[i], want) << setting.name << " of " << vocabulary << ", draw " << i;
      }
    }
  }
  EXPECT_GT(compared, 1000);
}

TEST_P(SampleTest, KeepsToItsOrderOverAWholeVocabulary) {
  constexpr int64_t kVocabulary = 102400;
  const Floats logits = Random(kVocabulary, 6);
  for (SampleRow row : {SampleRow{.temperature = 1.5f},
                        {.temperature = 2, .top_k = 50000},
                        {.temperature = 4, .top_p = 0.999f},
                        {.temperature = 1, .min_p = 1e-5f}}) {
    row.seed = 7;
    const Reference reference(logits, row);
    const std::vector<int32_t> ids = Draw(logits, row, 8);
    for (uint32_t i = 0; i < 8; ++i) {
      double margin = 0;
      const int32_t want = reference.At(UniformDraw(7, {.output_index = i}), &margin);
      if (margin < 1e-6) continue;
      EXPECT_EQ(ids[i], want) << "draw " << i;
    }
  }
}

TEST_P(SampleTest, ChangesLogitsByTheFormulasOfItsContract) {
  Floats x = Random(40, 5), y(40);
  for (const Setting& setting : Settings()) {
    ChangeLogits(x.data(), 40, setting.row, y.data());
    const Reference reference(x, setting.row);
    for (int i = 0; i < 40; ++i) {
      if (std::isinf(reference.y[i])) {
        EXPECT_EQ(y[i], -INFINITY) << setting.name << ", id " << i;
      } else {
        EXPECT_NEAR(y[i], reference.y[i], 1e-6) << setting.name << ", id " << i;
      }
    }
  }
  const SampleRow row = Settings()[6].row;  // changed: ids 4 and 9 are in the output 3 and 1 times
  x[4] = 3;
  x[9] = -2;
  ChangeLogits(x.data(), 40, row, y.data());
  EXPECT_EQ(y[4], 3 / 1.5f - (0.75f + 0.25f * 3));
  EXPECT_EQ(y[9], (-2.0f + -1.0f) * 1.5f - (0.75f + 0.25f));
  EXPECT_EQ(y[1], x[1] < 0 ? x[1] * 1.5f : x[1] / 1.5f) << "in the prompt alone";
}

TEST_P(SampleTest, AtTemperatureZeroTakesTheGreatestAfterTheChanges) {
  Floats logits(40, 0.0f);
  logits[9] = 4;
  logits[20] = 3.5f;
  logits[30] = 3.5f;
  const auto greedy = [&](SampleRow row) { return Draw(logits, row, 1)[0]; };
  EXPECT_EQ(greedy({}), 9);
  EXPECT_EQ(greedy({.bias_ids = kBiased, .biases = kBiases}), 30) << "9 lost 1, 30 gained 0.5";
  const float low[] = {0, -1, 0};
  EXPECT_EQ(greedy({.bias_ids = kBiased, .biases = low}), 20) << "the lower of two equal ones";
  EXPECT_EQ(greedy({.repetition_penalty = 2, .seen_ids = kSeen, .seen_counts = kCounts}), 20);
  EXPECT_EQ(greedy({.presence_penalty = 0.75f, .seen_ids = kSeen, .seen_counts = kCounts}), 20);
  EXPECT_EQ(greedy({.frequency_penalty = 0.75f, .seen_ids = kSeen, .seen_counts = kCounts}), 20);
  const int32_t nine[] = {9};
  EXPECT_EQ(greedy({.masked = nine}), 20);
  EXPECT_EQ(greedy({.restricted = true, .allowed = kAllowed}), 9);
  const float raw = logprobs_[0];
  EXPECT_EQ(greedy({.restricted = true, .allowed = kAllowed, .masked = nine}), 30);
  EXPECT_EQ(raw - logprobs_[0], 0.5f) << "logprobs are of the raw logits";
}

TEST_P(SampleTest, BreaksTiesTowardsTheLowerIdInEveryFilter) {
  Floats logits(3000, 0.0f);
  for (int i = 100; i < 3000; i += 100) logits[i] = 2;  // 29 equal ones
  std::set<int32_t> ids;
  for (int32_t id : Draw(logits, {.temperature = 0.25f, .top_k = 3}, 200)) ids.insert(id);
  EXPECT_EQ(ids, (std::set<int32_t>{100, 200, 300}));
  ids.clear();
  for (int32_t id : Draw(logits, {.temperature = 0.1f, .top_p = 0.1f}, 200)) ids.insert(id);
  EXPECT_EQ(ids, (std::set<int32_t>{100, 200, 300}));  // 2 of 29 are less than a tenth
}

TEST_P(SampleTest, DependsOnSeedChoiceAndOutputIndexAndOnNothingElse) {
  const Floats logits = Random(1000);
  const SampleRow row{.temperature = 1, .seed = 5};
  const std::vector<int32_t> ids = Draw(logits, row, 32);
  EXPECT_EQ(Draw(logits, row, 32), ids);
  const std::vector<int32_t> tail(ids.begin() + 20, ids.end());
  EXPECT_EQ(Draw(logits, row, 12, 20), tail) << "what came before does not count";
  SampleRow other = row;
  other.choice = 1;
  EXPECT_NE(Draw(logits, other, 32), ids);
  other = row;
  other.seed = uint64_t{5} << 32;
  EXPECT_NE(Draw(logits, other, 32), ids);
  EXPECT_GT(std::set<int32_t>(ids.begin(), ids.end()).size(), 25u) << "each position draws anew";

  Floats batch = Random(33 * 1000);  // others' rows around it
  std::copy(logits.begin(), logits.end(), batch.begin() + 17 * 1000);
  std::vector<SampleRow> rows(33, {.temperature = 2, .top_k = 3, .seed = 9});
  rows[17] = row;
  rows[17].output_index = 4;
  EXPECT_EQ(Choose(batch, rows)[17], ids[4]);
}

TEST_P(SampleTest, NearTemperatureZeroIsGreedy) {
  const Floats logits = Random(2000);
  const int32_t best =
      static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  for (SampleRow row : {SampleRow{.temperature = 1e-44f},
                        {.temperature = 1e-6f},
                        {.temperature = 100, .top_k = 1},
                        {.temperature = 100, .top_p = 1e-30f},
                        {.temperature = 100, .min_p = 1}}) {
    for (int32_t id : Draw(logits, row, 10)) EXPECT_EQ(id, best);
  }
}

TEST_P(SampleTest, ChoosesAValidIdWhateverTheLogitsAre) {
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    for (size_t place : {0, 7, 99, 100}) {
      Floats logits = place < 100 ? Random(100) : Floats(100, bad);
      if (place < 100) logits[place] = bad;
      for (const Setting& setting : Settings()) {
        for (int32_t id : Draw(logits, setting.row, 5)) EXPECT_TRUE(id >= 0 && id < 100);
        const bool told = std::isnan(logprobs_[0]);
        EXPECT_EQ(told, bad != -INFINITY || place == 100) << setting.name << ", " << bad;
      }
    }
  }
  const int32_t nothing[] = {0, 1, 2};
  EXPECT_EQ(Draw(Random(3), {.temperature = 1, .masked = nothing}, 1)[0], 0);
}

INSTANTIATE_TEST_SUITE_P(Isas, SampleTest, testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace expertmesh
