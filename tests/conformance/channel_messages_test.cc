// What a channel carries: every kind, every size, from every thread.
#include <cstring>
#include <numeric>
#include <thread>

#include "absl/strings/match.h"
#include "device/cpu/cpu_device.h"
#include "tests/conformance/channel_suite.h"

namespace expertmesh {
namespace {

bool SameBytes(absl::Span<const std::byte> a, absl::Span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// Sends again while the window is full: the peer takes, so it ends.
void SendSurely(Channel& channel, const MessageHeader& header, const Body& body,
                const SentCallback& sent) {
  absl::Status status;
  do {
    status = channel.Send(header, body, Event(), sent);
    if (absl::IsResourceExhausted(status)) std::this_thread::yield();
  } while (absl::IsResourceExhausted(status));
  ASSERT_TRUE(status.ok()) << status;
}

TEST_P(ChannelConformance, DeliversADispatchAndItsCombineBitByBit) {
  Connect();
  const Matrix x(5, 64, 1), y(7, 64, 2);
  const std::vector<Assignment> assignments = {{0, 9}, {4, 0}, {4, 159}, {4, 159}};
  Fates fates;
  ASSERT_TRUE(a_->Send(DispatchOf(x, 41), {assignments, {}, x.View()}, Event(), fates.For(0)).ok());
  std::vector<Message> got = e0_.recorder.TakeMessages(1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].header, DispatchOf(x, 41));
  EXPECT_EQ(got[0].assignments, assignments);
  EXPECT_TRUE(SameBytes(got[0].rows.bytes(), x.bytes));

  MessageHeader combine = DispatchOf(y, 41);
  combine.kind = MessageKind::kCombine;
  combine.lane = Lane::kPrefill;
  ASSERT_TRUE(e_->Send(combine, {{}, {}, y.View()}, Event(), fates.For(1)).ok());
  got = a0_.recorder.TakeMessages(1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].header, combine);
  EXPECT_TRUE(SameBytes(got[0].rows.bytes(), y.bytes));
  fates.WaitAll(2);
  EXPECT_TRUE(fates.Of(0).ok());
  EXPECT_TRUE(fates.Of(1).ok());
}

TEST_P(ChannelConformance, DeliversPingsPongsAndMessagesWithoutRows) {
  Connect();
  MessageHeader ping;
  ping.ping = 17;
  ASSERT_TRUE(a_->Send(ping, {}, Event(), nullptr).ok());
  std::vector<Message> got = e0_.recorder.TakeMessages(1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].header, ping);

  MessageHeader pong = ping;
  pong.kind = MessageKind::kPong;
  const std::vector<uint64_t> calls = {3, 1, ~uint64_t{0}};
  ASSERT_TRUE(e_->Send(pong, {{}, calls, {}}, Event(), nullptr).ok());
  got = a0_.recorder.TakeMessages(1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].header, pong);
  EXPECT_EQ(got[0].numbers, calls);

  Fates fates;
  ASSERT_TRUE(a_->Send(DispatchOf(Matrix(0, 0, 0), 1), {}, Event(), fates.For(0)).ok());
  got = e0_.recorder.TakeMessages(1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_TRUE(got[0].rows.bytes().empty());
  fates.WaitAll(1);
}

TEST_P(ChannelConformance, GathersRowsByIndexAndStride) {
  Connect();
  const Matrix matrix(8, 64, 5);
  const std::vector<uint32_t> index = {7, 0, 0, 3};
  MessageHeader header = DispatchOf(matrix, 1);
  header.rows = 4;
  header.row_elements = 16;  // the first quarter of each row
  Fates fates;
  ASSERT_TRUE(
      a_->Send(header, {{}, {}, {matrix.bytes.data(), 256, 64, 4, index}}, Event(), fates.For(0))
          .ok());
  std::vector<Message> got = e0_.recorder.TakeMessages(1);
  ASSERT_EQ(got.size(), 1u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(SameBytes(got[0].rows.bytes().subspan(i * 64, 64),
                          absl::MakeConstSpan(matrix.bytes).subspan(index[i] * 256, 64)));
  }
  fates.WaitAll(1);
}

TEST_P(ChannelConformance, CarriesTheLargestMessages) {
  Connect();
  const Matrix row(1, kMaxRowElements, 6);
  const size_t row_bytes = row.bytes.size();
  MessageHeader header = DispatchOf(row, 1);
  header.rows = 1023;  // one more is a frame above the limit
  std::vector<Assignment> most(8192);
  for (size_t i = 0; i < most.size(); ++i) most[i] = {static_cast<uint32_t>(i % 1023), 5};
  Fates fates;
  // Stride 0: the same row over and over, so that only the copies are large.
  ASSERT_TRUE(a_->Send(header, {most, {}, {row.bytes.data(), 0, row_bytes, 1023, {}}}, Event(),
                       fates.For(0))
                  .ok());
  {
    std::vector<Message> got = e0_.recorder.TakeMessages(1);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].assignments, most);
    ASSERT_EQ(got[0].rows.bytes().size(), 1023 * row_bytes);
    for (size_t i : {0, 511, 1022}) {
      EXPECT_TRUE(SameBytes(got[0].rows.bytes().subspan(i * row_bytes, row_bytes), row.bytes));
    }
  }
  header = DispatchOf(Matrix(kMaxRowsPerMessage, 1, 0), 2);
  const Matrix many(kMaxRowsPerMessage, 1, 7);
  most.assign(kMaxAssignmentsPerMessage, {kMaxRowsPerMessage - 1, ~0u});
  ASSERT_TRUE(a_->Send(header, {most, {}, many.View()}, Event(), fates.For(1)).ok());
  std::vector<Message> got = e0_.recorder.TakeMessages(1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].assignments, most);
  EXPECT_TRUE(SameBytes(got[0].rows.bytes(), many.bytes));
  fates.WaitAll(2);
}

TEST_P(ChannelConformance, RefusesOneMoreThanTheLargestByNameAndLivesOn) {
  Connect();
  const std::byte byte{};
  Fates fates;
  MessageHeader header = DispatchOf(Matrix(1, 1, 0), 1);
  header.rows = kMaxRowsPerMessage + 1;
  absl::Status status =
      a_->Send(header, {{}, {}, {&byte, 0, 4, header.rows, {}}}, Event(), fates.For(0));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "rows: 16385, at most 16384")) << status;

  header.rows = 1024;
  header.row_elements = kMaxRowElements;
  status =
      a_->Send(header, {{}, {}, {&byte, 0, kMaxRowElements * 4, 1024, {}}}, Event(), fates.For(0));
  EXPECT_TRUE(absl::StrContains(status.message(), "frame bytes: 268435556")) << status;

  ASSERT_TRUE(a_->Send(MessageHeader(), {}, Event(), nullptr).ok());
  e0_.recorder.WaitMessages(1);
  EXPECT_FALSE(fates.Has(0)) << "`sent` runs although Send gave an error";
}

TEST_P(ChannelConformance, DeliversThousandsOfMessagesOfSeveralThreadsOnceEach) {
  Connect();
  constexpr size_t kThreads = 4, kEach = 1500;
  const Matrix matrix(3, 64, 8);
  Fates fates[2];
  Channel* ends[2] = {a_.get(), e_.get()};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < kEach; ++i) {
        const size_t token = t * kEach + i;
        for (int side : {0, 1}) {
          MessageHeader header = DispatchOf(matrix, token);
          header.lane = static_cast<Lane>(1 + token % 3);
          SendSurely(*ends[side], header, {{}, {}, matrix.View()}, fates[side].For(token));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int side : {0, 1}) {
    fates[side].WaitAll(kThreads * kEach);
    std::vector<Message> got = (side == 0 ? e0_ : a0_).recorder.TakeMessages(kThreads * kEach);
    std::set<uint64_t> sequences;
    for (const Message& message : got) {
      sequences.insert(message.header.call.sequence);
      ASSERT_TRUE(SameBytes(message.rows.bytes(), matrix.bytes));
    }
    EXPECT_EQ(got.size(), kThreads * kEach);
    EXPECT_EQ(sequences.size(), kThreads * kEach);
  }
}

TEST_P(ChannelConformance, AnswersFromItsCallbacks) {
  // Not what roles do, but it must not deadlock.
  constexpr uint64_t kRounds = 500;
  auto bounce = [](std::shared_ptr<Channel>& end, Message& message) {
    if (message.header.ping < kRounds) {
      ++message.header.ping;
      EXPECT_TRUE(end->Send(message.header, {}, Event(), nullptr).ok());
    }
  };
  a0_.recorder.on_message = [&](ChannelId, Message& m) { bounce(a_, m); };
  e0_.recorder.on_message = [&](ChannelId, Message& m) { bounce(e_, m); };
  Connect();
  ASSERT_TRUE(a_->Send(MessageHeader(), {}, Event(), nullptr).ok());
  e0_.recorder.WaitMessages(kRounds / 2 + 1);
  a0_.recorder.WaitMessages(kRounds / 2);
}

// --- rows that are not there yet

// A stream that passes when it is told to.
class ManualStream final : public Stream {
 public:
  Event Record() override { return Event(this, 1); }
  void Wait(Event) override {}
  void Notify(Notifier* notifier, uint64_t token) override { asked_.emplace_back(notifier, token); }
  void Synchronize() override {}
  bool Passed(uint64_t) const override { return false; }
  MemoryKind memory_kind() const override { return MemoryKind::kHost; }
  void Pass() {
    for (auto [notifier, token] : std::exchange(asked_, {})) notifier->OnPassed(token);
  }

 private:
  std::vector<std::pair<Notifier*, uint64_t>> asked_;
};

TEST_P(ChannelConformance, ReadsRowsOnlyWhenReadyHasPassedAndLetsOthersPassMeanwhile) {
  Connect();
  Matrix late(2, 64, 9);
  const Matrix early(1, 64, 10);
  ManualStream stream;
  Fates fates;
  ASSERT_TRUE(
      a_->Send(DispatchOf(late, 1), {{}, {}, late.View()}, stream.Record(), fates.For(0)).ok());
  ASSERT_TRUE(a_->Send(DispatchOf(early, 2), {{}, {}, early.View()}, Event(), fates.For(1)).ok());
  std::vector<Message> got = e0_.recorder.TakeMessages(1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].header.call.sequence, 2u);
  EXPECT_FALSE(fates.Has(0));
  const Matrix written(2, 64, 11);  // by the stream's work
  std::copy(written.bytes.begin(), written.bytes.end(), late.bytes.begin());
  stream.Pass();
  got = e0_.recorder.TakeMessages(1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_TRUE(SameBytes(got[0].rows.bytes(), written.bytes));
  fates.WaitAll(2);
}

TEST_P(ChannelConformance, SendsWhatADelayedStreamWrites) {
  Connect();
  CpuDevice device({.threads = 1, .debug_delays = true, .debug_seed = 12});
  auto stream = device.NewStream();
  constexpr size_t kMessages = 200;
  std::vector<uint32_t> values(kMessages, 0);
  Fates fates;
  for (size_t i = 0; i < kMessages; ++i) {
    uint32_t* value = &values[i];
    static_cast<CpuStream*>(stream.get())->Launch([value, i](ThreadPool&) {
      *value = static_cast<uint32_t>(i) * 7 + 1;
    });
    MessageHeader header = DispatchOf(Matrix(1, 1, 0), i);
    ASSERT_TRUE(a_->Send(header, {{}, {}, {reinterpret_cast<std::byte*>(value), 4, 4, 1, {}}},
                         stream->Record(), fates.For(i))
                    .ok());
  }
  fates.WaitAll(kMessages);
  for (const Message& message : e0_.recorder.TakeMessages(kMessages)) {
    uint32_t value = 0;
    std::memcpy(&value, message.rows.bytes().data(), 4);
    EXPECT_EQ(value, message.header.call.sequence * 7 + 1);
  }
}

TEST_P(ChannelConformance, CancelsWhatWaitsForAStreamWhenTheChannelCloses) {
  Connect();
  const Matrix matrix(2, 64, 13);
  ManualStream stream;
  Fates fates;
  for (size_t i : {0, 1}) {
    ASSERT_TRUE(
        a_->Send(DispatchOf(matrix, i), {{}, {}, matrix.View()}, stream.Record(), fates.For(i))
            .ok());
  }
  a_->Close(absl::CancelledError("enough"));
  fates.WaitAll(2);
  EXPECT_EQ(fates.Of(0).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(fates.Of(1).code(), absl::StatusCode::kCancelled);
  a0_.recorder.AwaitClosed(a_->id());
  stream.Pass();
  e0_.recorder.AwaitClosed(e_->id());
  EXPECT_EQ(e0_.recorder.messages_seen(), 0u);
}

TEST_P(ChannelConformance, StopsWhileRowsWaitForAStreamThatOutlivesTheTransport) {
  Connect();
  const Matrix matrix(2, 64, 14);
  ManualStream stream;
  Fates fates;
  ASSERT_TRUE(
      a_->Send(DispatchOf(matrix, 0), {{}, {}, matrix.View()}, stream.Record(), fates.For(0)).ok());
  a0_.transport->Stop();
  a0_.recorder.ForbidCallbacks();
  EXPECT_EQ(fates.Of(0).code(), absl::StatusCode::kCancelled);
  a_.reset();
  fleet_.reset();  // the transports are gone before the stream gets there
  stream.Pass();
}

// --- back-pressure

TEST_P(ChannelConformance, BoundsWhatAPeerThatDoesNotTakeCanPileUp) {
  Connect();
  e0_.recorder.Hold(true);
  const Matrix matrix(64, 1024, 15);  // 256 KiB
  Fates fates;
  size_t accepted = 0;
  absl::Status status;
  for (; accepted < 5000; ++accepted) {
    status = a_->Send(DispatchOf(matrix, accepted), {{}, {}, matrix.View()}, Event(),
                      fates.For(accepted));
    if (!status.ok()) break;
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "e0")) << status;
  EXPECT_FALSE(fates.Has(accepted));
  e0_.recorder.Hold(false);
  fates.WaitAll(accepted);  // nothing that was accepted is lost
  e0_.recorder.WaitMessages(accepted);
  SendSurely(*a_, DispatchOf(matrix, 0), {{}, {}, matrix.View()}, fates.For(accepted));
  e0_.recorder.WaitMessages(accepted + 1);
  fates.WaitAll(accepted + 1);
}

}  // namespace
}  // namespace expertmesh
