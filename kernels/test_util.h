// test_util.h: what the tests of ops share: one run per instruction set, and lane order once more,
// written plainly and apart from kernels/cpu.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "device/cpu/cpu_device.h"
#include "kernels/classes.h"

namespace expertmesh {

using Floats = std::vector<float>;

// Every test of a suite runs once per instruction set of this machine.
class OpTest : public testing::TestWithParam<std::string> {
 protected:
  OpTest()
      : device_({.threads = 2}),
        kernels_(OpenClass(kCpuF32, device_, GetParam()).value()),
        stream_(device_.NewStream()) {}

  Floats Random(int64_t count, float scale = 1) {
    std::uniform_real_distribution<float> values(-scale, scale);
    Floats out(count);
    for (float& v : out) v = values(random_);
    return out;
  }

  static Matrix View(Floats& v, int64_t cols) {
    return F32Matrix(v.data(), static_cast<int64_t>(v.size()) / cols, cols);
  }

  CpuDevice device_;
  std::unique_ptr<Kernels> kernels_;
  std::unique_ptr<Stream> stream_;
  std::mt19937 random_{20240507};
};

inline std::vector<std::string> IsaNames() {
  std::vector<std::string> names;
  for (absl::string_view isa : SupportedIsas()) names.emplace_back(isa);
  return names;
}

inline std::string IsaName(const testing::TestParamInfo<std::string>& info) { return info.param; }

// A packed matrix that owns its memory, and the values that it stands for.
struct Weights {
  Weights(int64_t n, int64_t k, DType dtype, const Floats& source) : values(source) {
    std::vector<uint16_t> narrow;
    if (dtype == DType::kBf16) {
      for (float& v : values) {
        narrow.push_back(F32ToBf16(v));
        v = Bf16ToF32(narrow.back());
      }
    }
    memory.resize(PackedBytes(n, k, dtype));
    const void* from = dtype == DType::kBf16 ? static_cast<void*>(narrow.data()) : values.data();
    PackRows(from, dtype, 0, n, k, dtype, memory.data());
    packed = ViewPacked(memory.data(), dtype, n, k);
  }

  Floats values;  // [n, k] as packed
  std::vector<std::byte> memory;
  PackedLinear packed;
};

// Sixteen accumulators and their tree, of ops.h.
struct Lanes {
  float v[16] = {};
  float Sum() const {
    float tree[16];
    for (int i = 0; i < 16; ++i) tree[i] = v[i];
    for (int half : {8, 4, 2, 1}) {
      for (int i = 0; i < half; ++i) tree[i] += tree[i + half];
    }
    return tree[0];
  }
};

inline float LaneDot(const float* x, const float* w, int64_t k) {
  Lanes lanes;
  for (int64_t i = 0; i < (k + 15) / 16 * 16; ++i) {
    lanes.v[i % 16] = std::fma(i < k ? x[i] : 0.0f, i < k ? w[i] : 0.0f, lanes.v[i % 16]);
  }
  return lanes.Sum();
}

inline float LaneSum(absl::Span<const float> x) {
  Lanes lanes;
  for (size_t i = 0; i < x.size(); ++i) lanes.v[i % 16] += x[i];
  return lanes.Sum();
}

inline void ExpectSameBits(absl::Span<const float> got, absl::Span<const float> want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(want[i]))
        << "element " << i << ": " << got[i] << " against " << want[i];
  }
}

}  // namespace expertmesh
