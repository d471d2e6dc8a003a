#include "attention_worker/core/experts/finite.h"

#include <cstdint>
#include <cstring>

namespace expertmesh {
namespace {

// An exponent of ones is an infinity or a NaN. No branch in the loop: it becomes vector code.
template <typename Bits>
bool NoExponentIsAllOnes(const std::byte* row, size_t count, Bits exponent) {
  int found = 0;
  for (size_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, row + i * sizeof(Bits), sizeof(Bits));
    found |= (bits & exponent) == exponent;
  }
  return found == 0;
}

}  // namespace

bool AllFinite(const std::byte* row, size_t count, DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return NoExponentIsAllOnes<uint32_t>(row, count, 0x7f800000u);
    case DType::kBf16:
      return NoExponentIsAllOnes<uint16_t>(row, count, 0x7f80u);
    case DType::kF16:
      return NoExponentIsAllOnes<uint16_t>(row, count, 0x7c00u);
    case DType::kI32:
      return true;
  }
  return true;
}

}  // namespace expertmesh
