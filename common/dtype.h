// dtype.h: the number formats of checkpoints and wires, and exact conversions to f32.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace expertmesh {

enum class DType : uint8_t { kF32 = 1, kBf16 = 2, kF16 = 3, kI32 = 4 };

constexpr size_t SizeOf(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kI32 ? 4 : 2;
}

// "f32", "bf16", "f16", "i32".
absl::string_view Name(DType dtype);

// A bf16 value is the upper half of the f32 of the same value.
inline float Bf16ToF32(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

// Nearest even; NaN stays NaN (quiet).
inline uint16_t F32ToBf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// Exact: every f16, subnormals included, is an f32.
float F16ToF32(uint16_t bits);

// Exact. The fp8 of weights: 4 bits of exponent (bias 7) and 3 of mantissa; there is no infinity,
// and 0x7f and 0xff are NaN. (OCP 8-bit floating point specification, E4M3.)
float F8E4m3ToF32(uint8_t bits);

}  // namespace expertmesh
