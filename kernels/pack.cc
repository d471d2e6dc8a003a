#include "kernels/pack.h"

#include <cstring>

#include "common/check.h"

namespace expertmesh {
namespace {

// One element of a checkpoint row. Through memcpy: a file's tensors need not be aligned.
float LoadElement(const std::byte* source, DType stored) {
  if (stored == DType::kF32) {
    float value;
    std::memcpy(&value, source, sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, source, sizeof(bits));
  return stored == DType::kBf16 ? Bf16ToF32(bits) : F16ToF32(bits);
}

// `count` elements, `step` elements apart in the source and side by side in the target.
void CopyElements(const std::byte* source, DType stored, int64_t step, int64_t count, DType packed,
                  std::byte* target) {
  const int64_t size = static_cast<int64_t>(SizeOf(stored));
  if (stored == packed && step == 1) {
    std::memcpy(target, source, count * size);
    return;
  }
  for (int64_t i = 0; i < count; ++i, source += step * size) {
    if (packed == DType::kBf16) {
      std::memcpy(target + 2 * i, source, 2);
    } else {
      const float value = LoadElement(source, stored);
      std::memcpy(target + 4 * i, &value, 4);
    }
  }
}

void CheckDTypes(DType stored, DType packed) {
  CHECK(stored != DType::kI32 && (packed == DType::kF32 || packed == DType::kBf16),
        "weights are floats, held as f32 or bf16");
  CHECK(packed == DType::kF32 || stored == DType::kBf16, "packing never rounds");
}

}  // namespace

size_t PackedBytes(int64_t n, int64_t k, DType packed) {
  const size_t bytes = static_cast<size_t>(n) * PackedStride(k) * SizeOf(packed);
  return (bytes + 63) / 64 * 64;
}

void PackRows(const void* source, DType stored, int64_t first_row, int64_t rows, int64_t k,
              DType packed, void* target) {
  CheckDTypes(stored, packed);
  const int64_t from_row = k * static_cast<int64_t>(SizeOf(stored));
  const int64_t to_row = PackedStride(k) * static_cast<int64_t>(SizeOf(packed));
  const std::byte* from = static_cast<const std::byte*>(source);
  std::byte* to = static_cast<std::byte*>(target) + first_row * to_row;
  for (int64_t r = 0; r < rows; ++r, from += from_row, to += to_row) {
    CopyElements(from, stored, 1, k, packed, to);
  }
}

void PackTransposed(const void* source, DType stored, int64_t n, int64_t k, DType packed,
                    void* target) {
  CheckDTypes(stored, packed);
  const std::byte* from = static_cast<const std::byte*>(source);
  std::byte* to = static_cast<std::byte*>(target);
  for (int64_t i = 0; i < n; ++i) {
    CopyElements(from + i * static_cast<int64_t>(SizeOf(stored)), stored, n, k, packed,
                 to + i * PackedStride(k) * static_cast<int64_t>(SizeOf(packed)));
  }
}

PackedLinear ViewPacked(const void* target, DType packed, int64_t n, int64_t k) {
  return {target, packed, n, k, PackedStride(k)};
}

}  // namespace expertmesh
