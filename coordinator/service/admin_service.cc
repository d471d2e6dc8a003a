#include "coordinator/service/admin_service.h"

#include "common/status.h"
#include "coordinator/service/listing.h"
#include "rpc/status.h"

namespace expertmesh {

grpc::ServerUnaryReactor* AdminGrpcService::GetTopology(grpc::CallbackServerContext* context,
                                                        const v1::GetTopologyRequest* request,
                                                        v1::GetTopologyResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (closed_) {
    reactor->Finish(ToGrpcStatus(TryAgainLater("the coordinator stops")));
    return reactor;
  }
  *response = ToProto(list_());
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace expertmesh
