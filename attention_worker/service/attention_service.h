// attention_service.h: the front doors' way to this worker: AttentionService over an AttentionPort.
#pragma once

#include <atomic>

#include "expertmesh/v1/attention_service.grpc.pb.h"
#include "generation/request_port.h"
#include "rpc/port_calls.h"

namespace expertmesh {

// One call is one sequence; a call that ends early (cancelled, broken, past its deadline) cancels
// it, unless it is to be kept. Outlives the server, and the port's last event: stop the port first,
// then the server.
class AttentionGrpcService final : public v1::AttentionService::CallbackService {
 public:
  explicit AttentionGrpcService(AttentionPort* port);

  grpc::ServerWriteReactor<v1::AttentionGenerateResponse>* Generate(
      grpc::CallbackServerContext* context, const v1::AttentionGenerateRequest* request) override;

  grpc::ServerUnaryReactor* Forget(grpc::CallbackServerContext* context,
                                   const v1::ForgetRequest* request,
                                   v1::ForgetResponse* response) override;

  size_t running() const { return calls_.running(); }

 private:
  AttentionPort* const port_;
  std::atomic<RequestId> last_id_{0};
  PortCalls<GenerateRequest> calls_;
};

}  // namespace expertmesh
