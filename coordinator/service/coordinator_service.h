// coordinator_service.h: control's end of the workers' links: Coordinator.Join over gRPC.
#pragma once

#include <atomic>
#include <memory>
#include <unordered_map>

#include "absl/status/status.h"
#include "cluster/control_link.h"
#include "common/mutex.h"
#include "expertmesh/v1/coordinator.grpc.pb.h"

namespace expertmesh {

// Each Join call is a link of `listener` (control_link.h). A report that cannot be read ends its
// link with INVALID_ARGUMENT and is not passed on. Outlives the server; the listener outlives both.
class CoordinatorGrpcService final : public v1::Coordinator::CallbackService {
 public:
  explicit CoordinatorGrpcService(ControlServerListener* listener);
  ~CoordinatorGrpcService() override;

  grpc::ServerBidiReactor<v1::Report, v1::Command>* Join(
      grpc::CallbackServerContext* context) override;

  // Ends every link with `why`, and refuses new ones with it: before the server stops.
  void CloseAll(const absl::Status& why);

 private:
  class Session;
  void Forget(LinkId id);

  ControlServerListener* const listener_;
  Mutex mutex_;
  LinkId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<LinkId, std::shared_ptr<Session>> sessions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace expertmesh
