#include "device/device.h"

#include <utility>

namespace expertmesh {

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  Release();
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  kind_ = other.kind_;
  free_ = std::exchange(other.free_, nullptr);
  return *this;
}

void Buffer::Release() {
  if (data_ != nullptr && free_ != nullptr) free_(data_, bytes_);
  data_ = nullptr;
}

}  // namespace expertmesh
