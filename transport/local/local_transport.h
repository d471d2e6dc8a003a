// local_transport.h: rows between roles of one process: queues, no serialisation.
#pragma once

#include <memory>
#include <string>

#include "transport/channel.h"

namespace expertmesh {

// Where the local transports of one process find each other, by address (any unique text).
// Lives until the last of its transports is stopped.
class LocalHub {
 public:
  LocalHub();
  ~LocalHub();
  LocalHub(const LocalHub&) = delete;
  LocalHub& operator=(const LocalHub&) = delete;

  // A transport that is reached at `address` and calls `endpoint` on a thread of its own.
  std::unique_ptr<Transport> Join(absl::string_view address, Endpoint* endpoint);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace expertmesh
