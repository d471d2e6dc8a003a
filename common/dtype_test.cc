#include "common/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace expertmesh {
namespace {

uint32_t Bits(float value) { return std::bit_cast<uint32_t>(value); }

TEST(DType, HasASizeAndAName) {
  EXPECT_EQ(SizeOf(DType::kF32), 4u);
  EXPECT_EQ(SizeOf(DType::kI32), 4u);
  EXPECT_EQ(SizeOf(DType::kBf16), 2u);
  EXPECT_EQ(SizeOf(DType::kF16), 2u);
  EXPECT_EQ(Name(DType::kF32), "f32");
  EXPECT_EQ(Name(DType::kBf16), "bf16");
  EXPECT_EQ(Name(DType::kF16), "f16");
  EXPECT_EQ(Name(DType::kI32), "i32");
  EXPECT_EQ(Name(static_cast<DType>(99)), "unknown");
}

TEST(Bf16, EveryValueComesBackFromF32WithItsBits) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float value = Bf16ToF32(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(Bf16ToF32(F32ToBf16(value)))) << bits;
    } else {
      EXPECT_EQ(F32ToBf16(value), bits);
    }
  }
}

// The two bf16 neighbours of a value, and which of them is nearer, by exact arithmetic in double.
TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  uint64_t state = 7;
  for (int i = 0; i < 200000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint32_t bits = static_cast<uint32_t>(state >> 32);
    if (i % 3 == 0) bits = (bits & 0xffff0000u) | 0x8000u;  // a tie
    const float value = std::bit_cast<float>(bits);
    if (!std::isfinite(value)) continue;
    const uint16_t down = static_cast<uint16_t>(bits >> 16);  // towards zero
    const float low = Bf16ToF32(down), high = Bf16ToF32(static_cast<uint16_t>(down + 1));
    if (!std::isfinite(high)) continue;
    const double to_low = std::fabs(double{value} - low), to_high = std::fabs(double{high} - value);
    const bool up = to_high < to_low || (to_high == to_low && down % 2 == 1);
    ASSERT_EQ(F32ToBf16(value), up ? down + 1 : down) << "of f32 bits " << bits;
  }
}

TEST(Bf16, KeepsInfinitiesNansAndOverflow) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(F32ToBf16(infinity), 0x7f80);
  EXPECT_EQ(F32ToBf16(-infinity), 0xff80);
  EXPECT_EQ(F32ToBf16(std::numeric_limits<float>::max()), 0x7f80) << "rounds up to infinity";
  // A NaN whose payload lies in the lower half alone must not turn into an infinity.
  EXPECT_TRUE(std::isnan(Bf16ToF32(F32ToBf16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(Bf16ToF32(F32ToBf16(std::bit_cast<float>(0xffffffffu)))));
}

TEST(F16, WidensEveryValueExactly) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const int exponent = (bits >> 10) & 0x1f;
    const int fraction = bits & 0x3ff;
    const float sign = (bits & 0x8000u) != 0 ? -1.0f : 1.0f;
    const float got = F16ToF32(static_cast<uint16_t>(bits));
    if (exponent == 0x1f && fraction != 0) {
      ASSERT_TRUE(std::isnan(got)) << bits;
      continue;
    }
    const float want = exponent == 0x1f ? std::numeric_limits<float>::infinity()
                       : exponent == 0  ? std::ldexp(static_cast<float>(fraction), -24)
                                        : std::ldexp(1024.0f + fraction, exponent - 25);
    ASSERT_EQ(Bits(got), Bits(std::copysign(want, sign))) << bits;
  }
}

TEST(DType, WidensFp8AsTheFormatSays) {
  for (int bits = 0; bits < 256; ++bits) {
    SCOPED_TRACE(bits);
    const float value = F8E4m3ToF32(static_cast<uint8_t>(bits));
    const int exponent = (bits >> 3) & 15, mantissa = bits & 7;
    if (exponent == 15 && mantissa == 7) {
      EXPECT_TRUE(std::isnan(value));
      continue;
    }
    const double magnitude = exponent == 0 ? std::ldexp(mantissa / 8.0, -6)
                                           : std::ldexp(1 + mantissa / 8.0, exponent - 7);
    EXPECT_EQ(std::abs(value), magnitude);
    EXPECT_EQ(std::signbit(value), bits >= 128);
  }
  EXPECT_EQ(F8E4m3ToF32(0x7e), 448.0f);
}

}  // namespace
}  // namespace expertmesh
