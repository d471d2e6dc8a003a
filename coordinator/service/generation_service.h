// generation_service.h: the users' API over the front door.
#pragma once

#include <functional>

#include "expertmesh/v1/generation.grpc.pb.h"
#include "generation/attention_port.h"
#include "rpc/port_calls.h"

namespace expertmesh {

// One call is one request; a call that ends early cancels it. Outlives the server, and the front
// door's last event: stop the front door first, then the server.
class GenerationGrpcService final : public v1::Generation::CallbackService {
 public:
  // `new_id` makes numbers that are unique at the front door.
  GenerationGrpcService(AttentionPort* front_door, std::function<RequestId()> new_id);

  grpc::ServerWriteReactor<v1::GenerateResponse>* GenerateStream(
      grpc::CallbackServerContext* context, const v1::GenerateRequest* request) override;

  size_t running() const { return calls_.running(); }
  // Until no request runs or `until` has come.
  bool WaitIdle(Time until) const { return calls_.WaitIdle(until); }

 private:
  PortCalls calls_;
};

}  // namespace expertmesh
