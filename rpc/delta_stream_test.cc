#include "rpc/delta_stream.h"

#include <gtest/gtest.h>

#include "rpc/test_support.h"

namespace expertmesh {
namespace {

using Action = DeltaStream::Action;

struct Stream {
  DeltaStream stream;
  bool overflow = false;
  DeltaStream::Turn Push(Delta delta) { return stream.OnDelta(std::move(delta), &overflow); }
};

TEST(DeltaStream, WritesOneAtATimeAndMergesWhatWaits) {
  Stream s;
  DeltaStream::Turn turn = s.Push(TokenDelta(1));
  ASSERT_EQ(turn.action, Action::kWrite);
  EXPECT_EQ(turn.piece.tokens[0].id, 1);
  EXPECT_EQ(s.Push(TokenDelta(2)).action, Action::kNothing);
  EXPECT_EQ(s.Push(LastDelta(3, FinishReason::kStop, {5, 3})).action, Action::kNothing);
  EXPECT_EQ(s.stream.OnEnd(absl::OkStatus()).action, Action::kNothing);

  turn = s.stream.OnWritten(true);
  ASSERT_EQ(turn.action, Action::kWrite);
  ASSERT_EQ(turn.piece.tokens.size(), 2u);
  EXPECT_EQ(turn.piece.tokens[1].id, 3);
  EXPECT_EQ(turn.piece.finish, FinishReason::kStop);
  EXPECT_EQ(turn.piece.stop_token_id, 3);
  EXPECT_EQ(turn.piece.usage, (Usage{5, 3}));
  turn = s.stream.OnWritten(true);
  ASSERT_EQ(turn.action, Action::kFinish);
  EXPECT_TRUE(turn.status.ok());
}

TEST(DeltaStream, FinishesExactlyOnceWhateverComesAfter) {
  Stream s;
  EXPECT_EQ(s.stream.OnEnd(absl::InternalError("x")).action, Action::kFinish);
  EXPECT_EQ(s.stream.OnEnd(absl::OkStatus()).action, Action::kNothing);
  EXPECT_EQ(s.stream.Abandon(absl::CancelledError("y")).action, Action::kNothing);
  EXPECT_EQ(s.Push(TokenDelta(1)).action, Action::kNothing);
  EXPECT_FALSE(s.overflow);
}

TEST(DeltaStream, ACancelDuringAWriteFinishesAfterIt) {
  Stream s;
  ASSERT_EQ(s.Push(TokenDelta(1)).action, Action::kWrite);
  s.Push(TokenDelta(2));
  EXPECT_EQ(s.stream.Abandon(absl::CancelledError("c")).action, Action::kNothing);
  const DeltaStream::Turn turn = s.stream.OnWritten(false);
  ASSERT_EQ(turn.action, Action::kFinish);
  EXPECT_EQ(turn.status, absl::CancelledError("c"));
}

TEST(DeltaStream, AFailedWriteEndsIt) {
  Stream s;
  ASSERT_EQ(s.Push(TokenDelta(1)).action, Action::kWrite);
  const DeltaStream::Turn turn = s.stream.OnWritten(false);
  ASSERT_EQ(turn.action, Action::kFinish);
  EXPECT_EQ(turn.status.code(), absl::StatusCode::kCancelled);
}

TEST(DeltaStream, AReaderThatDoesNotKeepUpIsEndedAtTheBound) {
  Stream s;
  Delta big;
  big.prompt_logprobs.resize(kMaxWaitingDeltaBytes / 8, 0.5f);  // about half of the bound
  ASSERT_EQ(s.Push(big).action, Action::kWrite);
  s.Push(big);
  EXPECT_FALSE(s.overflow);
  s.Push(big);
  EXPECT_TRUE(s.overflow);
  s.overflow = false;
  s.Push(TokenDelta(1));
  EXPECT_FALSE(s.overflow) << "told once";
  s.stream.OnEnd(absl::OkStatus());
  const DeltaStream::Turn turn = s.stream.OnWritten(true);
  ASSERT_EQ(turn.action, Action::kFinish);
  EXPECT_EQ(turn.status.code(), absl::StatusCode::kResourceExhausted);
}

TEST(DeltaStream, PiecesStaySmallAndKeepOrder) {
  Stream s;
  ASSERT_EQ(s.Push(TokenDelta(0)).action, Action::kWrite);
  Delta wide = TokenDelta(0);
  wide.tokens[0].top.resize(1024);
  for (int32_t id = 1; id <= 100; ++id) {
    wide.tokens[0].id = id;
    s.Push(wide);
  }
  s.stream.OnEnd(absl::OkStatus());
  int32_t next = 1;
  DeltaStream::Turn turn = s.stream.OnWritten(true);
  for (; turn.action == Action::kWrite; turn = s.stream.OnWritten(true)) {
    EXPECT_LE(WireBytes(turn.piece), kMaxPieceBytes);
    for (const OutputToken& token : turn.piece.tokens) EXPECT_EQ(token.id, next++);
  }
  EXPECT_EQ(next, 101);
  EXPECT_EQ(turn.action, Action::kFinish);
}

}  // namespace
}  // namespace expertmesh
