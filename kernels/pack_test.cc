#include "kernels/pack.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <vector>

namespace expertmesh {
namespace {

// Reads element (i, j) back.
float At(const PackedLinear& w, int64_t i, int64_t j) {
  if (w.dtype == DType::kF32) return static_cast<const float*>(w.data)[i * w.k_stride + j];
  return Bf16ToF32(static_cast<const uint16_t*>(w.data)[i * w.k_stride + j]);
}

// [n, k] small integers in `dtype`, exact in all of them, one byte off any alignment.
struct Source {
  Source(int64_t n, int64_t k, DType dtype) : bytes(n * k * SizeOf(dtype) + 1) {
    for (int64_t i = 0; i < n * k; ++i) {
      const float value = static_cast<float>(i % 64 + 1);
      std::byte* to = bytes.data() + 1 + i * SizeOf(dtype);
      if (dtype == DType::kF32) {
        std::memcpy(to, &value, 4);
      } else {
        // An f16 integer in [1, 64]: exponent and the upper bits of the significand of its f32.
        const uint32_t wide = std::bit_cast<uint32_t>(value);
        const uint16_t half = static_cast<uint16_t>((wide >> 13) - ((127 - 15) << 10));
        const uint16_t bits = dtype == DType::kBf16 ? F32ToBf16(value) : half;
        std::memcpy(to, &bits, 2);
      }
    }
  }
  const void* data() const { return bytes.data() + 1; }
  std::vector<std::byte> bytes;
};

TEST(Pack, KeepsEveryElementAndPadsWithZeros) {
  constexpr int64_t kN = 5, kK = 19;
  for (DType stored : {DType::kF32, DType::kBf16, DType::kF16}) {
    for (bool widen : {false, true}) {
      const DType packed = PackedDType(stored, widen);
      const Source source(kN, kK, stored);
      std::vector<std::byte> target(PackedBytes(kN, kK, packed));
      PackRows(source.data(), stored, 0, kN, kK, packed, target.data());
      const PackedLinear w = ViewPacked(target.data(), packed, kN, kK);
      EXPECT_EQ(w.k_stride, 32);
      for (int64_t i = 0; i < kN; ++i) {
        for (int64_t j = 0; j < 32; ++j) {
          EXPECT_EQ(At(w, i, j), j < kK ? static_cast<float>((i * kK + j) % 64 + 1) : 0.0f);
        }
      }
    }
  }
}

TEST(Pack, TakesRowsInPieces) {
  constexpr int64_t kN = 7, kK = 33;
  const Source source(kN, kK, DType::kBf16);
  std::vector<std::byte> whole(PackedBytes(kN, kK, DType::kBf16)), pieces = whole;
  PackRows(source.data(), DType::kBf16, 0, kN, kK, DType::kBf16, whole.data());
  for (int64_t first : {4, 0}) {
    const int64_t rows = first == 4 ? 3 : 4;
    PackRows(static_cast<const std::byte*>(source.data()) + first * kK * 2, DType::kBf16, first,
             rows, kK, DType::kBf16, pieces.data());
  }
  EXPECT_EQ(whole, pieces);
}

TEST(Pack, Transposes) {
  constexpr int64_t kN = 6, kK = 21;  // from [kK, kN]
  for (DType stored : {DType::kF32, DType::kBf16, DType::kF16}) {
    const DType packed = PackedDType(stored, false);
    const Source source(kK, kN, stored);
    std::vector<std::byte> target(PackedBytes(kN, kK, packed));
    PackTransposed(source.data(), stored, kN, kK, packed, target.data());
    const PackedLinear w = ViewPacked(target.data(), packed, kN, kK);
    for (int64_t i = 0; i < kN; ++i) {
      for (int64_t j = 0; j < w.k_stride; ++j) {
        EXPECT_EQ(At(w, i, j), j < kK ? static_cast<float>((j * kN + i) % 64 + 1) : 0.0f);
      }
    }
  }
}

TEST(Pack, CountsBytesInWholeCacheLines) {
  EXPECT_EQ(PackedBytes(0, 5, DType::kBf16), 0u);
  EXPECT_EQ(PackedBytes(1, 1, DType::kBf16), 64u);
  EXPECT_EQ(PackedBytes(3, 17, DType::kBf16), 192u);
  EXPECT_EQ(PackedBytes(3, 17, DType::kF32), 384u);
}

}  // namespace
}  // namespace expertmesh
