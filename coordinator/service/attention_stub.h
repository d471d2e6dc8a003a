// attention_stub.h: the front door's port to one attention worker, over gRPC.
#pragma once

#include <grpcpp/channel.h>

#include <condition_variable>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "common/mutex.h"
#include "coordinator/coordinator.h"
#include "generation/request_port.h"

namespace expertmesh {

// Keeps the contract of request_port.h. A worker that cannot be reached, that dies or that breaks
// the stream off ends its requests with UNAVAILABLE and a retry hint; its own refusals come through
// as they are. The request's deadline is the call's.
//
// Threads  any, but the destructor not from a callback: it waits for one that runs.
class GrpcAttentionPort final : public AttentionPort {
 public:
  // `name` stands in errors.
  GrpcAttentionPort(std::string name, std::shared_ptr<grpc::Channel> channel);
  // Cancels what runs, without callbacks, and waits until gRPC has let go of it.
  ~GrpcAttentionPort() override;

  void Start(RequestId id, GenerateRequest request, GenerationListener* listener) override;
  void Cancel(RequestId id) override;
  void Detach(RequestId id) override;
  // Not waited for, and not repeated: what it does not reach ends by itself.
  void Forget(const KeptAnswer& kept) override;

 private:
  class Call;
  class ForgetCall;
  std::shared_ptr<Call> Find(RequestId id);
  void Release(RequestId id);
  void CallIsGone();

  const std::string name_;
  const std::shared_ptr<grpc::Channel> channel_;
  Mutex mutex_;
  std::condition_variable gone_;
  std::unordered_map<RequestId, std::shared_ptr<Call>> calls_ ABSL_GUARDED_BY(mutex_);
  std::set<ForgetCall*> forgets_ ABSL_GUARDED_BY(mutex_);
  int live_calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Ports by the address that the worker reported.
AttentionPortFactory GrpcAttentionPorts();

}  // namespace expertmesh
