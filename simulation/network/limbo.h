// limbo.h: messages that outlive their channel. The network is nastier than channel.h allows: what
// was sent on an earlier channel between the same two names may come out of the newer one, even
// when the sender has been restarted meanwhile. So the incarnation in a call id is put to the test.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "simulation/process.h"
#include "transport/message.h"

namespace expertmesh::simulation {

// A message as the network holds it: values, to be delivered any number of times.
struct StoredMessage {
  MessageHeader header;
  std::vector<Assignment> assignments;
  std::vector<uint64_t> numbers;
  std::vector<std::byte> rows;

  Message Copy() const;
};
using StoredMessagePtr = std::shared_ptr<const StoredMessage>;

class Limbo {
 public:
  // Keeps a message that went from `from` to `to` on `connection`; when the way is full, in the
  // place of any other.
  void Keep(HostId from, HostId to, uint64_t connection, StoredMessagePtr message, Random& chance);

  // One that went the same way on a connection before `connection`; null when there is none.
  StoredMessagePtr Any(HostId from, HostId to, uint64_t connection, Random& chance) const;
  // As Any: a combine that looks like the answer to this dispatch, but for its sender's
  // incarnation.
  StoredMessagePtr Combine(HostId from, HostId to, uint64_t connection,
                           const StoredMessage& dispatch) const;

 private:
  static constexpr size_t kMostPerWay = 512;
  struct Entry {
    uint64_t connection = 0;
    StoredMessagePtr message;
  };
  const std::vector<Entry>* Way(HostId from, HostId to) const;

  std::map<std::pair<HostId, HostId>, std::vector<Entry>> ways_;
};

}  // namespace expertmesh::simulation
