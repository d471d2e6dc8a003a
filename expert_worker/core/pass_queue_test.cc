#include "expert_worker/core/pass_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <tuple>

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Piece = std::tuple<const ExpertCall*, size_t, size_t>;  // call, first, count

ExpertCall Call(uint32_t layer, Lane lane, size_t assignments) {
  ExpertCall call;
  call.request.header.layer = layer;
  call.request.header.lane = lane;
  call.request.assignments.resize(assignments);
  return call;
}

std::vector<Piece> Take(PassQueue& queue, int32_t* layer = nullptr) {
  std::vector<PassPiece> pieces{{nullptr, 9, 9}};  // what was there before goes
  int32_t of = -1;
  queue.TakePass(pieces, layer != nullptr ? layer : &of);
  std::vector<Piece> out;
  for (const PassPiece& piece : pieces) out.emplace_back(piece.call, piece.first, piece.count);
  return out;
}

TEST(PassQueue, TakesTheCallsOfOneLayerTogether) {
  PassQueue queue(100);
  ExpertCall a = Call(3, Lane::kDecode, 2), b = Call(4, Lane::kDecode, 5),
             c = Call(3, Lane::kDecode, 1);
  for (ExpertCall* call : {&a, &b, &c}) queue.Push(call);
  EXPECT_EQ(queue.size(), 3u);
  int32_t layer = 0;
  EXPECT_THAT(Take(queue, &layer), ElementsAre(Piece{&a, 0, 2}, Piece{&c, 0, 1}));
  EXPECT_EQ(layer, 3);
  EXPECT_THAT(Take(queue, &layer), ElementsAre(Piece{&b, 0, 5}));
  EXPECT_EQ(layer, 4);
  EXPECT_TRUE(queue.empty());
}

TEST(PassQueue, BeginsWithTheOldestCallOfTheBestLane) {
  PassQueue queue(100);
  ExpertCall prefill = Call(1, Lane::kPrefill, 1), late = Call(2, Lane::kDecode, 1),
             later = Call(3, Lane::kDecode, 1);
  for (ExpertCall* call : {&prefill, &late, &later}) queue.Push(call);
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&late, 0, 1}));
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&later, 0, 1}));
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&prefill, 0, 1}));
}

TEST(PassQueue, FillsAPassLaneByLaneInOrderOfArrival) {
  PassQueue queue(6);
  ExpertCall p0 = Call(1, Lane::kPrefill, 4), d0 = Call(1, Lane::kDecode, 2),
             p1 = Call(1, Lane::kPrefill, 4), d1 = Call(1, Lane::kDecode, 1);
  for (ExpertCall* call : {&p0, &d0, &p1, &d1}) queue.Push(call);
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&d0, 0, 2}, Piece{&d1, 0, 1}, Piece{&p0, 0, 3}));
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&p0, 3, 1}, Piece{&p1, 0, 4}));
}

TEST(PassQueue, CutsACallOverAsManyPassesAsItTakes) {
  PassQueue queue(3);
  ExpertCall call = Call(1, Lane::kDecode, 8);
  queue.Push(&call);
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&call, 0, 3}));
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&call, 3, 3}));
  EXPECT_FALSE(queue.empty());
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&call, 6, 2}));
  EXPECT_TRUE(queue.empty());
}

TEST(PassQueue, LetsADecodeCallInBetweenThePiecesOfAPrompt) {
  PassQueue queue(3);
  ExpertCall prompt = Call(1, Lane::kPrefill, 6), decode = Call(2, Lane::kDecode, 1);
  queue.Push(&prompt);
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&prompt, 0, 3}));
  queue.Push(&decode);
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&decode, 0, 1}));
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&prompt, 3, 3}));
}

TEST(PassQueue, GivesSendersEqualSharesOfALane) {
  PassQueue queue(12);
  ExpertCall a0 = Call(1, Lane::kPrefill, 20), a1 = Call(1, Lane::kPrefill, 20),
             b = Call(1, Lane::kPrefill, 3), c = Call(1, Lane::kPrefill, 20);
  a0.channel = a1.channel = 1;
  b.channel = 2;
  c.channel = 3;
  for (ExpertCall* call : {&a0, &a1, &b, &c}) queue.Push(call);
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&a0, 0, 5}, Piece{&b, 0, 3}, Piece{&c, 0, 4}));
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&a0, 5, 6}, Piece{&c, 4, 6}));
}

TEST(PassQueue, APromptIsNotPassedOverForEver) {
  PassQueue queue(4);
  ExpertCall prompt = Call(1, Lane::kPrefill, 2);
  queue.Push(&prompt);
  std::deque<ExpertCall> decodes;
  int passes = 0;
  for (bool taken = false; !taken; ++passes) {
    ASSERT_LE(passes, kPassesOfPatience);
    decodes.push_back(Call(2, Lane::kDecode, 4));
    queue.Push(&decodes.back());
    taken = std::get<0>(Take(queue).front()) == &prompt;
  }
  EXPECT_EQ(passes, kPassesOfPatience + 1);
}

TEST(PassQueue, ManyOldPromptsLeaveDecodingEveryOtherPass) {
  PassQueue queue(4);
  std::deque<ExpertCall> calls;
  const auto push = [&](uint32_t layer, Lane lane) {
    calls.push_back(Call(layer, lane, 4));
    queue.Push(&calls.back());
  };
  for (uint32_t layer = 10; layer < 30; ++layer) push(layer, Lane::kPrefill);
  for (int i = 0; i < kPassesOfPatience; ++i) {  // until all of them have waited for long
    push(2, Lane::kDecode);
    Take(queue);
  }
  for (int i = 0; i < 10; ++i) {
    push(2, Lane::kDecode);
    int32_t layer = -1;
    Take(queue, &layer);
    EXPECT_EQ(layer, 10 + i);
    Take(queue, &layer);
    EXPECT_EQ(layer, 2);
  }
}

TEST(PassQueue, ForgetsACallThatIsRemovedHalfDone) {
  PassQueue queue(3);
  ExpertCall a = Call(1, Lane::kDecode, 5), b = Call(1, Lane::kDecode, 2);
  queue.Push(&a);
  queue.Push(&b);
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&a, 0, 3}));
  queue.Remove(&a);
  queue.Remove(&a);
  EXPECT_THAT(Take(queue), ElementsAre(Piece{&b, 0, 2}));
  queue.Remove(&b);  // it does not wait any more
  EXPECT_TRUE(queue.empty());
}

// Whatever is pushed: each assignment once, one layer a pass, never more than fit.
TEST(PassQueue, GivesEveryAssignmentOnceWhateverWaits) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const size_t most = 1 + random() % 9;
    PassQueue queue(most);
    std::deque<ExpertCall> calls;
    std::map<const ExpertCall*, size_t> given;
    while (calls.size() < 12 || !queue.empty()) {
      if (calls.size() < 12 && (queue.empty() || random() % 2 == 0)) {
        calls.push_back(Call(random() % 3, static_cast<Lane>(1 + random() % 3), 1 + random() % 7));
        queue.Push(&calls.back());
        continue;
      }
      int32_t layer = -1;
      size_t rows = 0;
      for (const auto& [call, first, count] : Take(queue, &layer)) {
        ASSERT_EQ(static_cast<int32_t>(call->request.header.layer), layer);
        ASSERT_EQ(first, given[call]) << "in order, without a gap";
        ASSERT_GE(count, 1u);
        given[call] += count;
        rows += count;
      }
      ASSERT_LE(rows, most);
      ASSERT_GE(rows, 1u);
    }
    for (const ExpertCall& call : calls) ASSERT_EQ(given[&call], call.assignments());
  }
}

}  // namespace
}  // namespace expertmesh
