#include "common/math.h"
#include "kernels/test_util.h"

namespace expertmesh {
namespace {

constexpr int64_t kSizes[] = {1, 2, 15, 16, 17, 45, 2048};

class RowOpsTest : public OpTest {};

TEST_P(RowOpsTest, EmbedWidensTheRowOfEachId) {
  constexpr int64_t kVocabulary = 9, kCols = 21;
  for (DType dtype : {DType::kBf16, DType::kF32}) {
    const Weights table(kVocabulary, kCols, dtype, Random(kVocabulary * kCols));
    const std::vector<int32_t> ids = {8, 0, 3, 3};
    Floats y(4 * kCols), want;
    kernels_->Embed(*stream_, ids, table.packed, View(y, kCols));
    stream_->Synchronize();
    for (int32_t id : ids) {
      want.insert(want.end(), &table.values[id * kCols], &table.values[id * kCols] + kCols);
    }
    ExpectSameBits(y, want);
  }
}

TEST_P(RowOpsTest, RmsNormFollowsTheTreeInPlace) {
  for (int64_t cols : kSizes) {
    Floats x = Random(3 * cols, 4), weight = Random(cols), want;
    for (int64_t r = 0; r < 3; ++r) {
      const float* row = &x[r * cols];
      const float mean = LaneDot(row, row, cols) / static_cast<float>(cols);
      const float factor = 1.0f / std::sqrt(mean + 1e-6f);
      double squares = 0;
      for (int64_t i = 0; i < cols; ++i) squares += static_cast<double>(row[i]) * row[i];
      for (int64_t i = 0; i < cols; ++i) {
        want.push_back((row[i] * factor) * weight[i]);
        const double exact = row[i] / std::sqrt(squares / cols + 1e-6) * weight[i];
        EXPECT_NEAR(want.back(), exact, std::fabs(exact) * 1e-5);
      }
    }
    kernels_->RmsNorm(*stream_, View(x, cols), weight.data(), 1e-6f, View(x, cols));
    stream_->Synchronize();
    ExpectSameBits(x, want);
  }
}

TEST_P(RowOpsTest, RopeTurnsAdjacentPairsOfEveryHead) {
  constexpr int64_t kHeads = 3, kStep = 10, kWidth = 6, kPositions = 50;
  Floats table;
  for (int64_t i = 0; i < kPositions * kWidth / 2; ++i) {
    table.push_back(static_cast<float>(CosD(0.1 * i)));
    table.push_back(static_cast<float>(SinD(0.1 * i)));
  }
  Floats x = Random(2 * kHeads * kStep), want = x;
  const std::vector<int32_t> positions = {49, 7};
  for (int64_t i = 0; i < 2 * kHeads; ++i) {
    for (int64_t j = 0; j < kWidth; j += 2) {
      const float a = x[i * kStep + j], b = x[i * kStep + j + 1];
      const float* turn = &table[positions[i / kHeads] * kWidth + j];
      want[i * kStep + j] = std::fma(a, turn[0], -(b * turn[1]));
      want[i * kStep + j + 1] = std::fma(a, turn[1], b * turn[0]);
      EXPECT_NEAR(std::hypot(a, b), std::hypot(want[i * kStep + j], want[i * kStep + j + 1]), 1e-6);
    }
  }
  Floats y(2 * kHeads * kWidth), packed;  // the turned parts alone, in a matrix of their own
  for (int64_t i = 0; i < 2 * kHeads; ++i) {
    packed.insert(packed.end(), &want[i * kStep], &want[i * kStep] + kWidth);
  }
  const Matrix in = View(x, kHeads * kStep);
  kernels_->Rope(*stream_, in, kHeads, kStep, kWidth, positions, table.data(),
                 View(y, kHeads * kWidth), kWidth);
  kernels_->Rope(*stream_, in, kHeads, kStep, kWidth, positions, table.data(), in, kStep);
  stream_->Synchronize();
  ExpectSameBits(y, packed);
  ExpectSameBits(x, want);
}

// All lanes against the one-lane functions of common/math.h, over the whole range and at its ends.
TEST_P(RowOpsTest, SwiGluHasTheSiluOfCommonMath) {
  Floats gate;
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += 65521) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (x == x) gate.push_back(x);
  }
  for (float x : {-kExpLowest, -kExpHighest, 0.0f, -0.0f}) {
    for (float towards : {-INFINITY, INFINITY}) gate.push_back(std::nextafter(x, towards));
    gate.push_back(x);
  }
  Floats up(gate.size(), 1.0f), y(gate.size()), want;
  const int64_t n = static_cast<int64_t>(gate.size());
  kernels_->SwiGlu(*stream_, View(gate, n), View(up, n), View(y, n));
  stream_->Synchronize();
  for (size_t i = 0; i < gate.size(); ++i) {
    want.push_back(Silu(gate[i]));
    if (want[i] != want[i]) {
      ASSERT_NE(y[i], y[i]) << gate[i];
      y[i] = want[i] = 0;
    }
  }
  ExpectSameBits(y, want);
}

TEST_P(RowOpsTest, SwiGluWorksInPlace) {
  for (int64_t cols : kSizes) {
    Floats gate = Random(2 * cols, 9), up = Random(2 * cols), want;
    for (size_t i = 0; i < gate.size(); ++i) want.push_back(Silu(gate[i]) * up[i]);
    kernels_->SwiGlu(*stream_, View(gate, cols), View(up, cols), View(up, cols));
    stream_->Synchronize();
    ExpectSameBits(up, want);
  }
}

TEST_P(RowOpsTest, CombineSumsInTopKOrderThenSharedThenX) {
  constexpr int64_t kRows = 3, kTopK = 4;
  for (int64_t cols : kSizes) {
    for (bool with_shared : {false, true}) {
      Floats rows = Random(kRows * kTopK * cols), weights = Random(kRows * kTopK);
      Floats shared = Random(kRows * cols), x = Random(kRows * cols), want;
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          float sum = weights[r * kTopK] * rows[r * kTopK * cols + c];
          for (int64_t i = r * kTopK + 1; i < (r + 1) * kTopK; ++i) {
            sum = std::fma(weights[i], rows[i * cols + c], sum);
          }
          if (with_shared) sum += shared[r * cols + c];
          want.push_back(x[r * cols + c] + sum);
        }
      }
      kernels_->Combine(*stream_, View(rows, cols), weights.data(), kTopK,
                        with_shared ? ConstMatrix(View(shared, cols)) : ConstMatrix(),
                        View(x, cols));
      stream_->Synchronize();
      ExpectSameBits(x, want);
    }
  }
}

TEST_P(RowOpsTest, AddAdds) {
  for (int64_t cols : kSizes) {
    Floats x = Random(2 * cols), y = Random(2 * cols), want;
    for (size_t i = 0; i < x.size(); ++i) want.push_back(x[i] + y[i]);
    kernels_->Add(*stream_, View(y, cols), View(x, cols));
    stream_->Synchronize();
    ExpectSameBits(x, want);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, RowOpsTest, testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace expertmesh
