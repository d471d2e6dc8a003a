// front_doors.h: real front doors over loopback gRPC, the workers in this process.
#pragma once

#include <grpcpp/channel.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/embedded/embedded_cluster.h"
#include "coordinator/service/coordinator_server.h"
#include "expertmesh/v1/generation.grpc.pb.h"
#include "tests/integration/refusal_cases.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {

// Threads: one. Test failures are recorded; then calls end with UNAVAILABLE.
class FrontDoors {
 public:
  FrontDoors();
  ~FrontDoors();

  // Sends these bytes to the method, whatever they are, and waits for the call's end.
  // `on_message` (may be null) gets each answer.
  grpc::Status Call(Door door, const std::string& method, const std::string& bytes,
                    const std::function<void(const std::string&)>& on_message);

  // Keeps the worker behind kBusy at work while it lives.
  class Work {
   public:
    explicit Work(FrontDoors& doors);
    ~Work();

   private:
    std::unique_ptr<v1::Generation::Stub> stub_;
    std::unique_ptr<grpc::ClientContext> context_;
    std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> reader_;
  };

 private:
  EmbeddedCluster* AddCluster(EmbeddedOptions options, const std::string& missing);
  void Open(Door door, Coordinator& coordinator, std::shared_ptr<const TextModel> text);

  CheckpointFolder no_template_{CheckpointFolder::kEmpty}, strict_{CheckpointFolder::kEmpty};
  Coordinator empty_;
  std::vector<std::unique_ptr<EmbeddedCluster>> clusters_;
  std::map<Door, std::unique_ptr<CoordinatorServer>> servers_;
  std::map<Door, std::shared_ptr<grpc::Channel>> channels_;
};

}  // namespace expertmesh
