// generation_service.h: the users' API over the front door.
#pragma once

#include <functional>

#include "coordinator/coordinator.h"
#include "coordinator/service/generation_metrics.h"
#include "coordinator/text/text_door.h"
#include "expertmesh/v1/generation.grpc.pb.h"
#include "rpc/port_calls.h"

namespace expertmesh {

// Every method reads its request itself (rpc/raw_message.h).
using RawGenerationService = v1::Generation::WithRawCallbackMethod_GenerateStream<
    v1::Generation::WithRawCallbackMethod_Generate<v1::Generation::WithRawCallbackMethod_Tokenize<
        v1::Generation::WithRawCallbackMethod_Detokenize<
            v1::Generation::WithRawCallbackMethod_Abort<
                v1::Generation::WithRawCallbackMethod_ListModels<
                    v1::Generation::WithRawCallbackMethod_GetServerInfo<
                        v1::Generation::WithRawCallbackMethod_Embed<
                            v1::Generation::WithRawCallbackMethod_Classify<
                                v1::Generation::Service>>>>>>>>>;

// One call is one request; a call that ends early cancels it, unless its answer is to be kept.
// Outlives the server, and the front
// door's last event: stop the front door first, then the server.
class GenerationGrpcService final : public RawGenerationService {
 public:
  // `list` is the fleet as it is now. What calls come to is counted in `metrics`.
  GenerationGrpcService(TextDoor* door, std::function<FleetListing()> list,
                        GenerationMetrics* metrics);

  grpc::ServerWriteReactor<grpc::ByteBuffer>* GenerateStream(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* Generate(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Embed(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Classify(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Detokenize(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;

  size_t running() const { return calls_.running(); }
  // Until no request runs or `until` has come.
  bool WaitIdle(Time until) const { return calls_.WaitIdle(until); }

 private:
  TextDoor* const door_;
  GenerationMetrics* const metrics_;
  const std::function<FleetListing()> list_;
  const Time started_ = Now();
  PortCalls<UserRequest> calls_;
};

}  // namespace expertmesh
