// What only this transport can meet: foreign, silent, slow and hostile peers. The contract itself
// is tested by tests/conformance.
#include "transport/grpc/grpc_transport.h"

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "expertmesh/v1/admin.grpc.pb.h"
#include "expertmesh/v1/expert_service.grpc.pb.h"
#include "transport/wire.h"

namespace expertmesh {
namespace {

using std::chrono::milliseconds;

// Writes down what it is told; a test waits for what it expects.
class Listener final : public Endpoint {
 public:
  absl::Status Judge(const Hello&) override { return absl::OkStatus(); }
  void OnOpened(std::shared_ptr<Channel> channel, const Hello&) override {
    Note([&] { opened.push_back(std::move(channel)); });
  }
  void OnMessage(ChannelId, Message message) override {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return !held_; });
    lanes.push_back(message.header.lane);
    changed_.notify_all();
  }
  void OnClosed(ChannelId, absl::Status why) override {
    Note([&] { closed.push_back(std::move(why)); });
  }

  void Hold(bool held) {
    Note([&] { held_ = held; });
  }
  // Whether it came true within a minute: only a failing test waits for that.
  template <typename Condition>
  bool Wait(Condition condition) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), condition);
  }

  std::vector<std::shared_ptr<Channel>> opened;
  std::vector<Lane> lanes;
  std::vector<absl::Status> closed;

 private:
  template <typename Change>
  void Note(Change change) {
    std::lock_guard<std::mutex> lock(mutex_);
    change();
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
};

Hello HelloOf(const std::string& name, WorkerRole role) {
  Hello hello;
  hello.name = name;
  hello.role = role;
  hello.incarnation = {1, 1};
  hello.hidden = 64;
  return hello;
}

const PeerExpectation kE0 = {"e0", WorkerRole::kExpert, {1, 1}, {}};

std::unique_ptr<grpc::Server> Serve(grpc::Service* service, int* port) {
  grpc::ServerBuilder builder;
  GrpcTransport::Configure(builder);
  builder.RegisterService(service);
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), port);
  return builder.BuildAndStart();
}

class GrpcTransportTest : public testing::Test {
 protected:
  void Start(const GrpcTransportOptions& options) {
    transport_ = std::make_unique<GrpcTransport>(&listener_, options);
    transport_->SetHello(HelloOf("e0", WorkerRole::kExpert));
    server_ = Serve(transport_->service(), &port_);
    stub_ = v1::ExpertService::NewStub(
        grpc::CreateChannel(Address(), grpc::InsecureChannelCredentials()));
  }
  void TearDown() override {
    if (transport_ == nullptr) return;
    listener_.Hold(false);
    transport_->Stop();
    server_->Shutdown();
  }
  std::string Address() const { return absl::StrCat("127.0.0.1:", port_); }

  // A foreign client sends these frames; the last word that it gets.
  absl::Status TellFrames(const std::vector<std::string>& frames) {
    grpc::ClientContext context;
    auto stream = stub_->Channel(&context);
    for (const std::string& frame : frames) {
      v1::Frame message;
      message.set_frame(frame);
      if (!stream->Write(message)) break;
    }
    return LastWord(*stream);
  }
  static absl::Status LastWord(grpc::ClientReaderWriter<v1::Frame, v1::Frame>& stream) {
    absl::Status last = absl::NotFoundError("the stream ended without a word");
    for (v1::Frame message; stream.Read(&message);) {
      const std::string& frame = message.frame();
      const auto bytes =
          absl::MakeConstSpan(reinterpret_cast<const std::byte*>(frame.data()), frame.size());
      if (SortOf(bytes) == FrameSort::kLastWord) last = ParseHandshake(bytes).status();
    }
    const grpc::Status status = stream.Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return last;
  }

  Listener listener_;
  std::unique_ptr<GrpcTransport> transport_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::ExpertService::Stub> stub_;
  int port_ = 0;
};

std::string PingFrame() {
  std::string frame(*FrameBytes(MessageHeader(), {}), '\0');
  WriteFrame(MessageHeader(), {}, reinterpret_cast<std::byte*>(frame.data()));
  return frame;
}

void ExpectSays(const absl::Status& status, absl::StatusCode code, absl::string_view text) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), text)) << status;
}

TEST_F(GrpcTransportTest, EndsAStreamThatSaysNoHello) {
  Start({.hello_timeout = milliseconds(100)});
  ExpectSays(TellFrames({}), absl::StatusCode::kUnavailable, "no hello within 100 ms");
  EXPECT_TRUE(listener_.opened.empty());
}

TEST_F(GrpcTransportTest, EndsTheStreamOfWhoeverBreaksTheProtocolAndNoOther) {
  Start({});
  const std::string hello = WriteHello(HelloOf("a0", WorkerRole::kAttention));
  grpc::ClientContext context;
  auto bystander = stub_->Channel(&context);
  v1::Frame message;
  message.set_frame(hello);
  ASSERT_TRUE(bystander->Write(message));
  ASSERT_TRUE(bystander->Read(&message));

  std::string flipped = PingFrame();
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  ExpectSays(TellFrames({"garbage"}), absl::StatusCode::kDataLoss, "frame of 7 bytes");
  ExpectSays(TellFrames({PingFrame()}), absl::StatusCode::kInvalidArgument, "before the hello");
  ExpectSays(TellFrames({hello, hello}), absl::StatusCode::kUnavailable, "says hello twice");
  ExpectSays(TellFrames({hello, flipped}), absl::StatusCode::kUnavailable, "checksum");
  ExpectSays(TellFrames({hello, std::string()}), absl::StatusCode::kUnavailable, "frame of 0");

  message.set_frame(PingFrame());
  ASSERT_TRUE(bystander->Write(message));
  EXPECT_TRUE(listener_.Wait([&] { return listener_.lanes.size() == 1; }));
  EXPECT_TRUE(listener_.Wait([&] { return listener_.closed.size() == 3; }));
  bystander->WritesDone();
  EXPECT_TRUE(bystander->Finish().ok());
  EXPECT_TRUE(listener_.Wait([&] { return listener_.closed.size() == 4; }));
  EXPECT_TRUE(absl::StrContains(listener_.closed.back().message(), "a0"));
}

TEST_F(GrpcTransportTest, RefusesMoreStreamsThanItsBound) {
  Start({.max_accepted = 2});
  const std::string hello = WriteHello(HelloOf("a0", WorkerRole::kAttention));
  auto context = std::make_unique<grpc::ClientContext[]>(2);
  std::unique_ptr<grpc::ClientReaderWriter<v1::Frame, v1::Frame>> streams[2];
  v1::Frame message;
  for (int i : {0, 1}) {
    streams[i] = stub_->Channel(&context[i]);
    message.set_frame(hello);
    ASSERT_TRUE(streams[i]->Write(message));
    ASSERT_TRUE(streams[i]->Read(&message));
  }
  ExpectSays(TellFrames({hello}), absl::StatusCode::kResourceExhausted, "2 channels already");
  streams[0]->WritesDone();
  EXPECT_TRUE(streams[0]->Finish().ok());
  EXPECT_TRUE(listener_.Wait([&] { return listener_.closed.size() == 1; }));
  streams[0] = nullptr;
  // There is room again as soon as the ended stream is gone, a moment after OnClosed.
  bool in = false;
  for (int i = 0; i < 1000 && !in; ++i) {
    grpc::ClientContext retry;
    auto stream = stub_->Channel(&retry);
    message.set_frame(hello);
    stream->Write(message);
    in = stream->Read(&message) && message.frame()[6] == '\xfa';
    stream->WritesDone();
    (void)LastWord(*stream);
  }
  EXPECT_TRUE(in);
  context[1].TryCancel();
  (void)streams[1]->Finish();
}

// A worker that dials, against whatever is there.
struct Dialler {
  explicit Dialler(GrpcTransportOptions options) : transport(&listener, options) {
    transport.SetHello(HelloOf("a0", WorkerRole::kAttention));
  }
  absl::Status WhyClosed() {
    EXPECT_TRUE(listener.Wait([&] { return !listener.closed.empty(); }));
    transport.Stop();
    EXPECT_EQ(listener.closed.size(), 1u);
    return listener.closed.front();
  }
  Listener listener;
  GrpcTransport transport;
};

TEST(GrpcDialler, GivesUpOnAPeerThatNeverAnswers) {
  // A socket that listens and never accepts: the kernel connects, nobody speaks.
  const int silent = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(0, ::bind(silent, reinterpret_cast<sockaddr*>(&address), size));
  ASSERT_EQ(0, ::listen(silent, 4));
  ::getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size);

  Dialler a0({.open_timeout = milliseconds(150)});
  const std::string target = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  a0.transport.Open(target, kE0);
  const absl::Status why = a0.WhyClosed();
  ExpectSays(why, absl::StatusCode::kUnavailable, target);
  ExpectSays(why, absl::StatusCode::kUnavailable, "no hello within 150 ms");
  ::close(silent);
}

TEST(GrpcDialler, NamesAServerThatIsNoWorker) {
  v1::Admin::Service something_else;
  int port = 0;
  auto server = Serve(&something_else, &port);
  Dialler a0({});
  a0.transport.Open(absl::StrCat("127.0.0.1:", port), kE0);
  ExpectSays(a0.WhyClosed(), absl::StatusCode::kUnavailable, "gRPC status 12");
  server->Shutdown();
}

TEST(GrpcDialler, SurvivesAServerThatAnswersGarbageOrNothing) {
  struct Impostor final : v1::ExpertService::Service {
    grpc::Status Channel(grpc::ServerContext*,
                         grpc::ServerReaderWriter<v1::Frame, v1::Frame>* stream) override {
      v1::Frame message;
      stream->Read(&message);
      if (!answer.empty()) {
        message.set_frame(answer);
        stream->Write(message);
      }
      return grpc::Status(grpc::StatusCode::DATA_LOSS, "so there");
    }
    std::string answer;
  };
  for (const char* answer : {"", "rubbish"}) {
    Impostor impostor;
    impostor.answer = answer;
    int port = 0;
    auto server = Serve(&impostor, &port);
    Dialler a0({});
    a0.transport.Open(absl::StrCat("127.0.0.1:", port), kE0);
    const absl::Status why = a0.WhyClosed();
    EXPECT_TRUE(absl::StrContains(why.message(), *answer ? "frame of 7 bytes" : "so there")) << why;
    server->Shutdown();
  }
}

TEST_F(GrpcTransportTest, CutsOffAPeerThatDoesNotReadAndSlowsNobodyElse) {
  Start({});
  Dialler a0({.stall_timeout = milliseconds(200)});
  auto channel = a0.transport.Open(Address(), kE0);
  ASSERT_TRUE(a0.listener.Wait([&] { return !a0.listener.opened.empty(); }));
  listener_.Hold(true);
  const std::vector<std::byte> row(size_t{1} << 18);
  MessageHeader header;
  header.kind = MessageKind::kDispatch;
  header.rows = 1;
  header.row_elements = 1u << 16;
  absl::Status status;
  for (int i = 0; i < 5000 && status.ok(); ++i) {
    status = channel->Send(header, {{}, {}, {row.data(), 0, row.size(), 1, {}}}, Event(),
                           [](absl::Status) {});
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  ExpectSays(a0.WhyClosed(), absl::StatusCode::kUnavailable, "e0 (1#1) does not read");
  listener_.Hold(false);
  EXPECT_TRUE(listener_.Wait([&] { return listener_.closed.size() == 1; }));
}

TEST_F(GrpcTransportTest, SendsControlBeforeDecodeBeforePrefillWhenAllWait) {
  Start({});
  Dialler a0({});
  auto channel = a0.transport.Open(Address(), kE0);
  ASSERT_TRUE(a0.listener.Wait([&] { return !a0.listener.opened.empty(); }));
  listener_.Hold(true);
  const std::vector<std::byte> row(size_t{1} << 18);
  MessageHeader header;
  header.kind = MessageKind::kDispatch;
  header.rows = 1;
  header.row_elements = 1u << 16;
  header.lane = Lane::kPrefill;
  size_t count = 0;
  for (; count < 900; ++count) {
    if (!channel
             ->Send(header, {{}, {}, {row.data(), 0, row.size(), 1, {}}}, Event(),
                    [](absl::Status) {})
             .ok()) {
      break;
    }
  }
  for (Lane lane : {Lane::kDecode, Lane::kControl}) {
    MessageHeader ping;
    ping.lane = lane;
    ASSERT_TRUE(channel->Send(ping, {}, Event(), nullptr).ok());
  }
  listener_.Hold(false);
  ASSERT_TRUE(listener_.Wait([&] { return listener_.lanes.size() == count + 2; }));
  auto place = [&](Lane lane) {
    return std::find(listener_.lanes.begin(), listener_.lanes.end(), lane) -
           listener_.lanes.begin();
  };
  EXPECT_LT(place(Lane::kControl), place(Lane::kDecode));
  EXPECT_LT(place(Lane::kDecode), static_cast<ptrdiff_t>(count));
}

TEST_F(GrpcTransportTest, StopsInTimeAlthoughAPeerHoldsItsStream) {
  Start({});
  grpc::ClientContext context;
  auto stream = stub_->Channel(&context);
  v1::Frame message;
  message.set_frame(WriteHello(HelloOf("a0", WorkerRole::kAttention)));
  ASSERT_TRUE(stream->Write(message));
  ASSERT_TRUE(listener_.Wait([&] { return listener_.opened.size() == 1; }));
  // The client neither reads nor closes, so one of these writes never ends by itself.
  const std::vector<std::byte> row(size_t{1} << 18);
  MessageHeader header;
  header.kind = MessageKind::kDispatch;
  header.rows = 64;
  header.row_elements = 1u << 16;
  absl::Status status;
  while (status.ok()) {
    status = listener_.opened[0]->Send(header, {{}, {}, {row.data(), 0, row.size(), 64, {}}},
                                       Event(), [](absl::Status) {});
  }
  const auto begin = std::chrono::steady_clock::now();
  transport_->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_EQ(listener_.closed.size(), 1u);
  ExpectSays(TellFrames({}), absl::StatusCode::kUnavailable, "the worker stops");
  context.TryCancel();
  (void)stream->Finish();
}

}  // namespace
}  // namespace expertmesh
