#include "transport/grpc/frame_stream.h"

#include <grpcpp/generic/generic_stub.h>

#include <utility>

namespace expertmesh {
namespace {

constexpr char kMethod[] = "/expertmesh.v1.ExpertService/Channel";

}  // namespace

std::shared_ptr<FrameStream> DialledStream::Start(std::shared_ptr<FrameSink> sink, ChannelId id,
                                                  const std::shared_ptr<grpc::Channel>& connection,
                                                  grpc::ByteBuffer hello) {
  std::shared_ptr<DialledStream> stream(new DialledStream(std::move(sink), id));
  stream->self_ = stream;
  grpc::GenericStub(connection)
      .PrepareBidiStreamingCall(&stream->context_, kMethod, grpc::StubOptions(), stream.get());
  stream->AddHold();
  stream->Read();
  stream->Write(std::move(hello));
  stream->StartCall();
  return stream;
}

void DialledStream::Read() {
  reading_ = true;
  StartRead(&in_);
}

void DialledStream::Write(grpc::ByteBuffer frame) {
  out_.Swap(&frame);
  StartWrite(&out_);
}

void DialledStream::End(std::optional<grpc::ByteBuffer> last) {
  if (last.has_value()) {
    out_.Swap(&*last);
    StartWriteLast(&out_, grpc::WriteOptions());
  }
  // From here on a read is outstanding until the end: either the one that is, or this one, or that
  // of OnReadDone. Whoever turns reading_ on starts it.
  ended_ = true;
  if (!reading_.exchange(true)) StartRead(&in_);
  RemoveHold();
}

void DialledStream::OnReadDone(bool ok) {
  if (!ok) return sink_->OnReadEnded(id_);
  grpc::ByteBuffer frame;
  frame.Swap(&in_);  // before reading_ is off: then End may use it
  reading_ = false;
  if (!ended_) return sink_->OnFrame(id_, frame);
  if (!reading_.exchange(true)) StartRead(&in_);
}

void DialledStream::OnDone(const grpc::Status& status) {
  const std::shared_ptr<FrameSink> sink = sink_;  // `this` may be gone before the call returns
  sink->OnStreamDone(id_, status, std::move(self_));
}

AcceptedStream::AcceptedStream(std::shared_ptr<FrameSink> sink, ChannelId id,
                               grpc::CallbackServerContext* context)
    : sink_(std::move(sink)), id_(id), peer_address_(context->peer()), context_(context) {}

std::shared_ptr<AcceptedStream> AcceptedStream::Make(std::shared_ptr<FrameSink> sink, ChannelId id,
                                                     grpc::CallbackServerContext* context) {
  std::shared_ptr<AcceptedStream> stream(new AcceptedStream(std::move(sink), id, context));
  stream->self_ = stream;
  return stream;
}

void AcceptedStream::Write(grpc::ByteBuffer frame) {
  out_.Swap(&frame);
  StartWrite(&out_);
}

void AcceptedStream::End(std::optional<grpc::ByteBuffer> last) {
  if (last.has_value()) {
    out_.Swap(&*last);
    StartWriteAndFinish(&out_, grpc::WriteOptions(), grpc::Status::OK);
  } else {
    Finish(grpc::Status::OK);
  }
}

void AcceptedStream::Cancel() {
  MutexLock lock(mutex_);
  if (context_ != nullptr) context_->TryCancel();
}

void AcceptedStream::OnReadDone(bool ok) {
  if (ok) {
    sink_->OnFrame(id_, in_);
  } else {
    sink_->OnReadEnded(id_);
  }
}

void AcceptedStream::OnDone() {
  {
    MutexLock lock(mutex_);
    context_ = nullptr;
  }
  const std::shared_ptr<FrameSink> sink = sink_;  // `this` may be gone before the call returns
  sink->OnStreamDone(id_, grpc::Status(grpc::StatusCode::UNAVAILABLE, "its stream ended"),
                     std::move(self_));
}

}  // namespace expertmesh
