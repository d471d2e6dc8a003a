#include "device/arena.h"

namespace expertmesh {

void Arena::Reset() {
#ifdef EXPERTMESH_DCHECKS
  if (buffer_.kind() == MemoryKind::kHost) {
    constexpr uint32_t kPoison = 0x7fa5a5a5u;  // a signalling NaN
    uint32_t* words = buffer_.as<uint32_t>();
    for (size_t i = 0; i < used_ / sizeof(uint32_t); ++i) words[i] = kPoison;
  }
#endif
  used_ = 0;
}

}  // namespace expertmesh
