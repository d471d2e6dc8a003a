#include <array>

#include "common/math.h"
#include "kernels/test_util.h"

namespace expertmesh {
namespace {

class LinearTest : public OpTest {};

// Against double, within what K roundings in 16 lanes can do.
void ExpectClose(const Floats& got, const Floats& x, const Floats& w, int64_t n, int64_t k) {
  for (size_t i = 0; i < got.size(); ++i) {
    const int64_t r = static_cast<int64_t>(i) / n, o = static_cast<int64_t>(i) % n;
    double sum = 0, size = 0;
    for (int64_t j = 0; j < k; ++j) {
      const double product = static_cast<double>(x[r * k + j]) * w[o * k + j];
      sum += product;
      size += std::fabs(product);
    }
    ASSERT_NEAR(got[i], sum, size * (static_cast<double>(k) / 16 + 6) * 0x1p-24 + 1e-30);
  }
}

TEST_P(LinearTest, AddsInLaneOrder) {
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    for (auto [rows, n, k] : std::vector<std::array<int64_t, 3>>{
             {1, 1, 1}, {2, 3, 15}, {7, 5, 16}, {9, 33, 17}, {50, 67, 131}, {3, 8, 512}}) {
      SCOPED_TRACE(testing::Message() << rows << " x " << n << " x " << k << " " << Name(dtype));
      Floats x = Random(rows * k);
      const Weights w(n, k, dtype, Random(n * k));
      Floats y(rows * n, NAN);
      kernels_->Linear(*stream_, View(x, k), w.packed, View(y, n));
      stream_->Synchronize();
      Floats want(rows * n);
      for (int64_t i = 0; i < rows * n; ++i) {
        want[i] = LaneDot(&x[i / n * k], &w.values[i % n * k], k);
      }
      ExpectSameBits(y, want);
      ExpectClose(y, x, w.values, n, k);
    }
  }
}

TEST_P(LinearTest, ReadsAndWritesOnlyItsColumns) {
  constexpr int64_t kRows = 5, kN = 6, kK = 19, kXStride = 40, kYStride = 11;
  Floats x = Random(kRows * kXStride);
  for (size_t i = 0; i < x.size(); ++i) {
    if (static_cast<int64_t>(i) % kXStride >= kK) x[i] = NAN;
  }
  const Weights w(kN, kK, DType::kBf16, Random(kN * kK));
  Floats y(kRows * kYStride, 77);
  kernels_->Linear(*stream_, {x.data(), DType::kF32, kRows, kK, kXStride}, w.packed,
                   {y.data(), DType::kF32, kRows, kN, kYStride});
  stream_->Synchronize();
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t c = 0; c < kYStride; ++c) {
      const float want = c < kN ? LaneDot(&x[r * kXStride], &w.values[c * kK], kK) : 77;
      EXPECT_EQ(y[r * kYStride + c], want);
    }
  }
}

TEST_P(LinearTest, TakesNoRows) {
  const Weights w(3, 4, DType::kF32, Random(12));
  kernels_->Linear(*stream_, {nullptr, DType::kF32, 0, 4, 4}, w.packed,
                   {nullptr, DType::kF32, 0, 3, 3});
  stream_->Synchronize();
}

TEST_P(LinearTest, GivesEveryHeadItsWeightsAndColumns) {
  constexpr int64_t kRows = 7, kHeads = 3, kN = 20, kK = 24, kXStep = 30, kYStep = 21;
  Floats x = Random(kRows * kHeads * kXStep);
  const Weights w(kHeads * kN, kK, DType::kBf16, Random(kHeads * kN * kK));
  Floats y(kRows * kHeads * kYStep, 77);
  kernels_->HeadLinear(*stream_, View(x, kHeads * kXStep), kXStep, w.packed, kHeads,
                       View(y, kHeads * kYStep), kYStep);
  stream_->Synchronize();
  Floats want(y.size(), 77);
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t h = 0; h < kHeads; ++h) {
      for (int64_t o = 0; o < kN; ++o) {
        want[(r * kHeads + h) * kYStep + o] =
            LaneDot(&x[(r * kHeads + h) * kXStep], &w.values[(h * kN + o) * kK], kK);
      }
    }
  }
  ExpectSameBits(y, want);
}

TEST_P(LinearTest, RunsEachRowThroughTheExpertOfItsGroup) {
  constexpr int64_t kRows = 12, kHidden = 21, kIntermediate = 35;
  std::vector<std::unique_ptr<Weights>> memory;
  std::vector<ExpertWeights> experts(3);
  for (ExpertWeights& e : experts) {
    for (PackedLinear* w : {&e.gate, &e.up, &e.down}) {
      const bool down = w == &e.down;
      memory.push_back(std::make_unique<Weights>(down ? kHidden : kIntermediate,
                                                 down ? kIntermediate : kHidden, DType::kBf16,
                                                 Random(kHidden * kIntermediate)));
      *w = memory.back()->packed;
    }
  }
  const ExpertWeights* const shard[] = {&experts[0], &experts[1], &experts[2]};
  const RowGroup groups[] = {{2, 0, 5}, {0, 5, 0}, {1, 5, 7}};
  Floats x = Random(kRows * kHidden), y(kRows * kHidden), scratch(kRows * 2 * kIntermediate, NAN);
  kernels_->ExpertFfn(*stream_, View(x, kHidden), groups, shard, View(y, kHidden),
                      View(scratch, 2 * kIntermediate));
  stream_->Synchronize();
  Floats want;
  for (int64_t r = 0; r < kRows; ++r) {
    const size_t e = r < 5 ? 2 : 1;
    Floats h(kIntermediate);
    for (int64_t i = 0; i < kIntermediate; ++i) {
      const float* in = &x[r * kHidden];
      const float gate = LaneDot(in, &memory[3 * e]->values[i * kHidden], kHidden);
      h[i] = Silu(gate) * LaneDot(in, &memory[3 * e + 1]->values[i * kHidden], kHidden);
    }
    for (int64_t o = 0; o < kHidden; ++o) {
      const float* down = &memory[3 * e + 2]->values[o * kIntermediate];
      want.push_back(LaneDot(h.data(), down, kIntermediate));
    }
  }
  ExpectSameBits(y, want);
}

INSTANTIATE_TEST_SUITE_P(Isas, LinearTest, testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace expertmesh
