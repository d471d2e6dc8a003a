// frame_stream.h: one gRPC stream of frames, dialled or accepted, as the progress thread uses it.
//
// WHO OWNS A STREAM. A stream is gRPC's reactor, and gRPC calls it until OnDone, which is always
// its last reaction. So a stream owns itself (`self_`) from its start until OnDone; links hold it
// beside that for as long as they like. Four rules make the rest simple:
//
//  1. Only the progress thread starts operations, one read and one write at a time: the next read
//     when the one before was reported to the sink, the next write likewise. (One exception: gRPC
//     tells the end of a dialled call only when all before it was read, so a dialled stream that
//     has ended reads on by itself, what nobody wants any more.)
//  2. gRPC does not call OnDone while we may still start something: a dialled stream is kept by a
//     hold, an accepted one by not being finished. End() gives that up. It is called exactly once
//     per stream, and after it the progress thread calls nothing but Cancel().
//  3. Reactions only report to the sink, which posts. They never touch a link or wait for a lock
//     that is held over a gRPC call.
//  4. OnDone hands the stream itself to the sink, so that the progress thread destroys it. With the
//     last connection goes a pool of gRPC's threads, which are joined: not from one of them.
//
// So OnDone follows soon after End() when the peer plays along, and after Cancel() whatever it
// does.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <optional>

#include "common/mutex.h"
#include "transport/channel.h"

namespace expertmesh {

class FrameStream;

// Called on gRPC's threads.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual void OnFrame(ChannelId id, grpc::ByteBuffer& frame) = 0;
  virtual void OnReadEnded(ChannelId id) = 0;  // the stream is over; the next news is OnStreamDone
  virtual void OnWritten(ChannelId id, bool ok) = 0;
  virtual void OnStreamDone(ChannelId id, const grpc::Status& status,
                            std::shared_ptr<FrameStream> stream) = 0;
};

class FrameStream {
 public:
  virtual ~FrameStream() = default;
  virtual void Read() = 0;
  virtual void Write(grpc::ByteBuffer frame) = 0;
  // No operation follows; `last` is one more frame to write, only when no write is outstanding.
  virtual void End(std::optional<grpc::ByteBuffer> last) = 0;
  // Ends the call on both sides at once. At any time; does nothing after OnDone.
  virtual void Cancel() = 0;
};

class DialledStream final : public FrameStream,
                            public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // Starts the call, writes `hello` and reads.
  static std::shared_ptr<FrameStream> Start(std::shared_ptr<FrameSink> sink, ChannelId id,
                                            const std::shared_ptr<grpc::Channel>& connection,
                                            grpc::ByteBuffer hello);

  void Read() override;
  void Write(grpc::ByteBuffer frame) override;
  void End(std::optional<grpc::ByteBuffer> last) override;
  void Cancel() override { context_.TryCancel(); }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override { sink_->OnWritten(id_, ok); }
  void OnDone(const grpc::Status& status) override;

 private:
  DialledStream(std::shared_ptr<FrameSink> sink, ChannelId id) : sink_(std::move(sink)), id_(id) {}

  const std::shared_ptr<FrameSink> sink_;
  const ChannelId id_;
  grpc::ClientContext context_;  // holds the call and the connection
  grpc::ByteBuffer in_;
  grpc::ByteBuffer out_;
  std::atomic<bool> reading_{false};  // a read is outstanding, or will never be again
  std::atomic<bool> ended_{false};
  std::shared_ptr<DialledStream> self_;  // until OnDone
};

class AcceptedStream final : public FrameStream,
                             public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // Of a call that has just come in; reads nothing yet.
  static std::shared_ptr<AcceptedStream> Make(std::shared_ptr<FrameSink> sink, ChannelId id,
                                              grpc::CallbackServerContext* context);

  void Read() override { StartRead(&in_); }
  void Write(grpc::ByteBuffer frame) override;
  void End(std::optional<grpc::ByteBuffer> last) override;
  void Cancel() override;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override { sink_->OnWritten(id_, ok); }
  void OnDone() override;

  ChannelId id() const { return id_; }
  const std::string& peer_address() const { return peer_address_; }

 private:
  AcceptedStream(std::shared_ptr<FrameSink> sink, ChannelId id,
                 grpc::CallbackServerContext* context);

  const std::shared_ptr<FrameSink> sink_;
  const ChannelId id_;
  const std::string peer_address_;
  grpc::ByteBuffer in_;
  grpc::ByteBuffer out_;
  Mutex mutex_;
  // gRPC's, gone with OnDone; null from then on.
  grpc::CallbackServerContext* context_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<AcceptedStream> self_;  // until OnDone
};

}  // namespace expertmesh
