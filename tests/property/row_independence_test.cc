// The promise of kernels/ops.h: the bits of a row depend on nothing but that row and the weights.
//
// The reference is each row computed alone by plain code on one thread. Every instruction set of
// this machine, with several thread counts, on calls of several sizes with the rows in another
// order, must give those bits. EXPERTMESH_SEED=n in the environment chooses shapes and values.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "device/cpu/cpu_device.h"
#include "kernels/classes.h"
#include "tests/property/op_cases.h"

namespace expertmesh {
namespace {

constexpr int kRowCounts[] = {1, 2, 15, 16, 17, 31, 33, 64, 255, 257};
constexpr int kThreadCounts[] = {1, 2, 3, 7};
constexpr uint64_t kFirstSeed = 1, kSeeds = 3;

using Rows = std::vector<std::vector<uint32_t>>;

std::vector<uint64_t> Seeds() {
  uint64_t seed = 0;
  const char* text = std::getenv("EXPERTMESH_SEED");
  if (text != nullptr && absl::SimpleAtoi(text, &seed)) return {seed};
  std::vector<uint64_t> seeds(kSeeds);
  std::iota(seeds.begin(), seeds.end(), kFirstSeed);
  return seeds;
}

// Every row of the case alone, by plain code on one thread.
Rows Reference(OpCase& op) {
  CpuDevice device({.threads = 1});
  const auto kernels = OpenClass(kCpuF32, device, "scalar").value();
  const auto stream = device.NewStream();
  Rows rows;
  for (int r = 0; r < OpCase::kRows; ++r) rows.push_back(op.Run(*kernels, *stream, {r}));
  return rows;
}

// What is wrong with a call on `chosen`; empty if nothing is.
std::string Difference(OpCase& op, const Rows& reference, const Kernels& kernels, Stream& stream,
                       absl::Span<const int> chosen) {
  const std::vector<uint32_t> got = op.Run(kernels, stream, chosen);
  const size_t cols = got.size() / chosen.size();
  for (size_t i = 0; i < chosen.size(); ++i) {
    const std::vector<uint32_t>& want = reference[chosen[i]];
    for (size_t c = 0; c < cols; ++c) {
      if (got[i * cols + c] == want[c]) continue;
      return absl::StrCat("row ", i, " of ", chosen.size(), " has other bits in column ", c, ": ",
                          absl::Hex(got[i * cols + c], absl::kZeroPad8), " and alone ",
                          absl::Hex(want[c], absl::kZeroPad8));
    }
  }
  return "";
}

// The first difference of this op under one instruction set and thread count.
std::string FirstDifference(OpCase& op, const Rows& reference, absl::string_view isa, int threads,
                            uint64_t seed) {
  CpuDevice device({.threads = threads});
  const auto kernels = OpenClass(kCpuF32, device, isa).value();
  const auto stream = device.NewStream();
  std::mt19937_64 random(seed);
  std::vector<int> order(OpCase::kRows);
  std::iota(order.begin(), order.end(), 0);
  for (int count : kRowCounts) {
    std::shuffle(order.begin(), order.end(), random);
    const absl::Span<const int> chosen = absl::MakeConstSpan(order).first(count);
    const std::string difference = Difference(op, reference, *kernels, *stream, chosen);
    if (!difference.empty()) return difference;
  }
  return "";
}

TEST(RowIndependence, HoldsForEveryOpRowCountThreadCountAndIsa) {
  for (uint64_t seed : Seeds()) {
    RecordProperty(absl::StrCat("seed_", seed), "1");
    for (const std::unique_ptr<OpCase>& op : AllOpCases(seed)) {
      const Rows reference = Reference(*op);
      for (absl::string_view isa : SupportedIsas()) {
        for (int threads : kThreadCounts) {
          EXPECT_EQ(FirstDifference(*op, reference, isa, threads, seed), "")
              << op->Name() << ", " << isa << ", " << threads
              << " threads; again with EXPERTMESH_SEED=" << seed;
        }
      }
    }
  }
}

// A call without rows is legal and does nothing.
TEST(RowIndependence, HoldsForNoRows) {
  CpuDevice device({.threads = 2});
  for (const std::unique_ptr<OpCase>& op : AllOpCases(kFirstSeed)) {
    for (absl::string_view isa : SupportedIsas()) {
      const auto kernels = OpenClass(kCpuF32, device, isa).value();
      EXPECT_TRUE(op->Run(*kernels, *device.NewStream(), {}).empty()) << op->Name();
    }
  }
}

}  // namespace
}  // namespace expertmesh
