#include "coordinator/service/coordinator_service.h"

#include <grpcpp/alarm.h>

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "rpc/convert_fleet.h"
#include "rpc/status.h"

namespace expertmesh {
namespace {

// How long a link that control has closed may take to write its last command to a worker that does
// not read.
constexpr std::chrono::seconds kCloseGrace{2};

}  // namespace

// One Join call. Kept alive by the service's table until OnDone, and by whoever holds its Link.
class CoordinatorGrpcService::Session final
    : public grpc::ServerBidiReactor<v1::Report, v1::Command>,
      public std::enable_shared_from_this<Session> {
 public:
  Session(CoordinatorGrpcService* service, grpc::CallbackServerContext* context, LinkId id)
      : service_(service), context_(context), peer_(context->peer()), id_(id) {}

  // From the method handler.
  void Open() {
    std::shared_ptr<Session> self = shared_from_this();
    service_->listener_->OnLinkOpened(
        id_, {.send = [self](const Command& command) { self->Send(command); },
              .close = [self] { self->End(absl::UnavailableError("control closed the link")); }});
    StartSendInitialMetadata();  // tells the worker that the link is up
    StartRead(&report_);
  }

  void Send(const Command& command) {
    v1::Command proto = ToProto(command);
    {
      MutexLock lock(mutex_);
      if (end_.has_value()) return;
      waiting_ = std::move(proto);
    }
    Proceed();
  }

  // What waits is still written, then the call finishes with `status`.
  void End(absl::Status status) {
    {
      MutexLock lock(mutex_);
      if (end_.has_value()) return;
      end_ = std::move(status);
      if (writing_) {
        // Weak: an alarm keeps its callback as long as it lives itself, and it lives in here.
        alarm_.Set(std::chrono::system_clock::now() + kCloseGrace,
                   [weak = weak_from_this()](bool fired) {
                     if (std::shared_ptr<Session> self = weak.lock(); fired && self) self->Abort();
                   });
      }
    }
    Proceed();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) {
      Abort();  // nobody reads on the other side: a write would wait for nothing
      return End(absl::OkStatus());
    }
    absl::StatusOr<Report> report = FromProto(report_);
    if (!report.ok()) {
      LogWarning("link ", id_, " from ", peer_,
                 " is closed, its report is refused: ", report.status().message());
      return End(report.status());
    }
    service_->listener_->OnReport(id_, *std::move(report));
    if (!ended()) StartRead(&report_);
  }

  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(mutex_);
      writing_ = false;
      if (!ok) waiting_.reset();
      if (!ok && !end_.has_value()) end_ = absl::CancelledError("the worker is gone");
    }
    Proceed();
  }

  void OnCancel() override { End(absl::CancelledError("the worker is gone")); }

  void OnDone() override {
    {
      MutexLock lock(mutex_);
      done_ = true;
    }
    alarm_.Cancel();
    service_->listener_->OnLinkClosed(id_);
    service_->Forget(id_);  // may delete this
  }

  // Starts what comes next, if nothing is under way: a write, or the finish.
  void Proceed() {
    std::optional<absl::Status> finish;
    {
      MutexLock lock(mutex_);
      if (writing_ || finished_) return;
      if (waiting_.has_value()) {
        writing_ = true;
        command_ = *std::move(waiting_);
        waiting_.reset();
      } else if (end_.has_value()) {
        finished_ = true;
        finish = end_;
      } else {
        return;
      }
    }
    if (finish.has_value()) {
      Finish(ToGrpcStatus(*finish));
    } else {
      StartWrite(&command_);
    }
  }

  bool ended() {
    MutexLock lock(mutex_);
    return end_.has_value();
  }

  // The call breaks off: reads, writes and the finish fail at once.
  void Abort() {
    MutexLock lock(mutex_);
    waiting_.reset();
    if (!done_) context_->TryCancel();
  }

  CoordinatorGrpcService* const service_;
  grpc::CallbackServerContext* const context_;  // until OnDone
  const std::string peer_;
  const LinkId id_;
  v1::Report report_;    // of the read in flight
  v1::Command command_;  // of the write in flight
  grpc::Alarm alarm_;

  Mutex mutex_;
  std::optional<v1::Command> waiting_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

CoordinatorGrpcService::CoordinatorGrpcService(ControlServerListener* listener)
    : listener_(listener) {}

CoordinatorGrpcService::~CoordinatorGrpcService() = default;

grpc::ServerBidiReactor<v1::Report, v1::Command>* CoordinatorGrpcService::Join(
    grpc::CallbackServerContext* context) {
  std::shared_ptr<Session> session;
  absl::Status closed;
  {
    MutexLock lock(mutex_);
    session = std::make_shared<Session>(this, context, ++last_id_);
    sessions_[last_id_] = session;
    closed = closed_;
  }
  session->Open();
  if (!closed.ok()) session->End(closed);
  return session.get();
}

void CoordinatorGrpcService::CloseAll(const absl::Status& why) {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    MutexLock lock(mutex_);
    closed_ = why;
    for (const auto& [id, session] : sessions_) sessions.push_back(session);
  }
  for (const auto& session : sessions) session->End(why);
}

void CoordinatorGrpcService::Forget(LinkId id) {
  std::shared_ptr<Session> session;  // destroyed after the lock is gone
  MutexLock lock(mutex_);
  auto found = sessions_.find(id);
  session = std::move(found->second);
  sessions_.erase(found);
}

}  // namespace expertmesh
