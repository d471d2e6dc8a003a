#include "simulation/network/limbo.h"

namespace expertmesh::simulation {

Message StoredMessage::Copy() const {
  Message message;
  message.header = header;
  message.assignments = assignments;
  message.numbers = numbers;
  if (!rows.empty()) message.rows = Payload(std::vector<std::byte>(rows));
  return message;
}

void Limbo::Keep(HostId from, HostId to, uint64_t connection, StoredMessagePtr message,
                 Random& chance) {
  std::vector<Entry>& way = ways_[{from, to}];
  if (way.size() < kMostPerWay) {
    way.push_back({connection, std::move(message)});
  } else {
    way[chance.Below(way.size())] = {connection, std::move(message)};
  }
}

const std::vector<Limbo::Entry>* Limbo::Way(HostId from, HostId to) const {
  auto found = ways_.find({from, to});
  return found == ways_.end() ? nullptr : &found->second;
}

StoredMessagePtr Limbo::Any(HostId from, HostId to, uint64_t connection, Random& chance) const {
  const std::vector<Entry>* way = Way(from, to);
  if (way == nullptr || way->empty()) return nullptr;
  const Entry& entry = (*way)[chance.Below(way->size())];
  return entry.connection < connection ? entry.message : nullptr;
}

StoredMessagePtr Limbo::Combine(HostId from, HostId to, uint64_t connection,
                                const StoredMessage& dispatch) const {
  const std::vector<Entry>* way = Way(from, to);
  if (way == nullptr) return nullptr;
  for (const Entry& entry : *way) {
    const MessageHeader& header = entry.message->header;
    if (entry.connection < connection && header.kind == MessageKind::kCombine &&
        header.call.sequence == dispatch.header.call.sequence &&
        header.rows == dispatch.assignments.size()) {
      return entry.message;
    }
  }
  return nullptr;
}

}  // namespace expertmesh::simulation
