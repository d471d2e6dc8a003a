#include "rpc/control_link_client.h"

#include <grpcpp/client_context.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "expertmesh/v1/coordinator.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/status.h"

namespace expertmesh {

// One Join call. Owns itself from Open until OnDone, so that letting go of it does not wait for the
// network; the listener is only called while `listener_` is set, under callback_mutex_.
//
// A call refers to its channel, and gRPC cannot bear that the last reference to a channel goes in
// one of its own callbacks. So the link, which holds the channel too, waits in Stop until its
// streams are not only done but gone.
class GrpcControlLink::Stream final : public grpc::ClientBidiReactor<v1::Report, v1::Command> {
 public:
  Stream(GrpcControlLink* link, ControlLinkListener* listener)
      : link_(link), stub_(v1::Coordinator::NewStub(link->channel_)), listener_(listener) {}

  void Open(std::shared_ptr<Stream> self) {
    self_ = std::move(self);
    stub_->async()->Join(&context_, this);
    AddHold();  // for Send, which comes from outside of reactions; until the read side is over
    {
      MutexLock lock(mutex_);
      open_ = true;
    }
    StartRead(&command_);
    StartCall();
  }

  void Send(const Report& report) {
    v1::Report proto = ToProto(report);
    {
      MutexLock lock(mutex_);
      grid_ = report.model.grid;
      if (!open_ || closed_) return;
      if (writing_) {
        waiting_ = std::move(proto);
        return;
      }
      writing_ = true;
      report_ = std::move(proto);
      AddHold();  // so that StartWrite need not run under the lock, and still precedes OnDone
    }
    StartWrite(&report_);
    RemoveHold();
  }

  // No callback after it returns. Not from a callback.
  void LetGo() {
    {
      MutexLock lock(callback_mutex_);
      listener_ = nullptr;
    }
    context_.TryCancel();
  }

 private:
  void OnReadInitialMetadataDone(bool ok) override {
    if (ok) Tell([](ControlLinkListener* listener) { listener->OnLinkUp(); });
  }

  void OnReadDone(bool ok) override {
    absl::StatusOr<Command> command =
        ok ? Checked(command_) : absl::UnavailableError("the link is over");
    if (command.ok()) {
      Tell([&](ControlLinkListener* listener) { listener->OnCommand(*std::move(command)); });
      StartRead(&command_);
      return;
    }
    {
      MutexLock lock(mutex_);
      closed_ = true;
      if (ok) why_ = Annotate(command.status(), "a command of control cannot be followed");
    }
    if (ok) context_.TryCancel();
    RemoveHold();
  }

  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(mutex_);
      writing_ = ok && !closed_ && waiting_.has_value();
      if (!writing_) return;
      report_ = *std::move(waiting_);
      waiting_.reset();
    }
    StartWrite(&report_);
  }

  void OnDone(const grpc::Status& status) override {
    absl::Status why = FromGrpcStatus(status);
    if (why.ok()) why = absl::UnavailableError("control closed the link");
    {
      MutexLock lock(mutex_);
      if (!why_.ok()) why = why_;
    }
    Tell([&](ControlLinkListener* listener) { listener->OnLinkDown(std::move(why)); });
    GrpcControlLink* const link = link_;
    std::shared_ptr<Stream> self = std::move(self_);
    self.reset();  // may delete this
    link->OnStreamGone();
  }

  // A command whose sets fit the model that this worker reported.
  absl::StatusOr<Command> Checked(const v1::Command& proto) {
    ASSIGN_OR_RETURN(Command command, FromProto(proto));
    MutexLock lock(mutex_);
    const auto fits = [this](const ExpertGrid& grid) {
      return grid == ExpertGrid{} || grid == grid_;
    };
    if (!fits(command.assigned.grid())) {
      return absl::InvalidArgumentError("assigned is for another model than ours");
    }
    if (command.topology != nullptr && !fits(command.topology->model.grid)) {
      return absl::InvalidArgumentError("topology is of another model than ours");
    }
    return command;
  }

  template <typename Callback>
  void Tell(const Callback& callback) {
    MutexLock lock(callback_mutex_);
    if (listener_ != nullptr) callback(listener_);
  }

  GrpcControlLink* const link_;
  const std::unique_ptr<v1::Coordinator::Stub> stub_;
  grpc::ClientContext context_;
  v1::Command command_;  // of the read in flight
  v1::Report report_;    // of the write in flight
  std::shared_ptr<Stream> self_;

  Mutex callback_mutex_;
  ControlLinkListener* listener_ ABSL_GUARDED_BY(callback_mutex_);

  Mutex mutex_;
  std::optional<v1::Report> waiting_ ABSL_GUARDED_BY(mutex_);
  ExpertGrid grid_ ABSL_GUARDED_BY(mutex_);
  bool open_ ABSL_GUARDED_BY(mutex_) = false;    // bound to a call
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;  // no new write may start
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
};

GrpcControlLink::GrpcControlLink(std::shared_ptr<grpc::Channel> channel)
    : channel_(std::move(channel)) {}

GrpcControlLink::GrpcControlLink(const std::string& address)
    : GrpcControlLink(DialInsecure(address)) {}

GrpcControlLink::~GrpcControlLink() { Stop(); }

void GrpcControlLink::Connect(ControlLinkListener* listener) {
  LetGoOfStream();
  auto stream = std::make_shared<Stream>(this, listener);
  {
    MutexLock lock(mutex_);
    stream_ = stream;
    ++live_streams_;
  }
  stream->Open(stream);
}

void GrpcControlLink::Send(const Report& report) {
  std::shared_ptr<Stream> stream;
  {
    MutexLock lock(mutex_);
    stream = stream_;
  }
  if (stream != nullptr) stream->Send(report);
}

void GrpcControlLink::Stop() {
  LetGoOfStream();
  MutexLock lock(mutex_);
  while (live_streams_ > 0) gone_.wait(lock.native());
}

void GrpcControlLink::LetGoOfStream() {
  std::shared_ptr<Stream> stream;
  {
    MutexLock lock(mutex_);
    stream.swap(stream_);
  }
  if (stream != nullptr) stream->LetGo();
}

void GrpcControlLink::OnStreamGone() {
  MutexLock lock(mutex_);
  --live_streams_;
  gone_.notify_all();
}

}  // namespace expertmesh
