// op_case_util.h: inputs from a seed, choosing rows, and outputs as bits: for op_cases.cc.
#pragma once

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "absl/types/span.h"
#include "kernels/ops.h"
#include "tests/property/op_cases.h"

namespace expertmesh {

using Bits = std::vector<uint32_t>;
using Floats = std::vector<float>;

class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}

  int64_t Between(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  Floats Values(int64_t count, float scale = 1) {
    std::uniform_real_distribution<float> values(-scale, scale);
    Floats out(count);
    for (float& v : out) v = values(random_);
    return out;
  }
  std::vector<int32_t> Shuffled(int64_t count) {
    std::vector<int32_t> out(count);
    std::iota(out.begin(), out.end(), 0);
    std::shuffle(out.begin(), out.end(), random_);
    return out;
  }

 private:
  std::mt19937_64 random_;
};

// A packed matrix that owns its memory.
class OwnedWeights {
 public:
  OwnedWeights(Dice& dice, int64_t n, int64_t k, DType dtype) : memory_(PackedBytes(n, k, dtype)) {
    const Floats wide = dice.Values(n * k);
    std::vector<uint16_t> narrow;
    for (float v : wide) narrow.push_back(F32ToBf16(v));
    const bool bf16 = dtype == DType::kBf16;
    PackRows(bf16 ? static_cast<const void*>(narrow.data()) : wide.data(), dtype, 0, n, k, dtype,
             memory_.data());
    packed_ = ViewPacked(memory_.data(), dtype, n, k);
  }
  OwnedWeights(OwnedWeights&&) = default;

  operator const PackedLinear&() const { return packed_; }  // NOLINT: it is one

 private:
  std::vector<std::byte> memory_;
  PackedLinear packed_;
};

// The chosen rows of a table of kRows rows.
template <typename T>
std::vector<T> Chosen(const std::vector<T>& table, absl::Span<const int> rows) {
  const size_t cols = table.size() / OpCase::kRows;
  std::vector<T> out;
  for (int r : rows) {
    out.insert(out.end(), table.begin() + r * cols, table.begin() + (r + 1) * cols);
  }
  return out;
}

inline Matrix View(Floats& v, int64_t cols) {
  return F32Matrix(v.data(), static_cast<int64_t>(v.size()) / cols, cols);
}

template <typename T>
Bits BitsOf(const std::vector<T>& values) {
  static_assert(sizeof(T) % 4 == 0);
  Bits bits(values.size() * sizeof(T) / 4);
  if (!bits.empty()) std::memcpy(bits.data(), values.data(), values.size() * sizeof(T));
  return bits;
}

// Row r of a then row r of b, for every row.
inline Bits Zipped(const Bits& a, const Bits& b, size_t rows) {
  Bits out;
  for (size_t r = 0; r < rows; ++r) {
    for (const Bits* bits : {&a, &b}) {
      const size_t cols = bits->size() / rows;
      out.insert(out.end(), bits->begin() + r * cols, bits->begin() + (r + 1) * cols);
    }
  }
  return out;
}

}  // namespace expertmesh
