#include "transport/message.h"

namespace expertmesh {

Payload::Payload(std::vector<std::byte> bytes) {
  auto* owned = new std::vector<std::byte>(std::move(bytes));
  bytes_ = absl::MakeConstSpan(*owned);
  context_ = owned;
  release_ = [](void* context) { delete static_cast<std::vector<std::byte>*>(context); };
}

}  // namespace expertmesh
