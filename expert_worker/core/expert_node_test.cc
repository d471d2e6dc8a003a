// Dispatches in, combines out; and how a worker comes to hold what it holds.
#include "expert_worker/core/expert_node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "expert_worker/core/test_node.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The combine's rows for one row each of these experts, as ManualCompute makes them.
std::vector<float> Answer(uint64_t sequence, const std::vector<uint32_t>& experts,
                          int32_t layer = 1) {
  std::vector<float> rows;
  for (uint32_t i = 0; i < experts.size(); ++i) {
    for (float more : {0.0f, 0.5f}) {
      rows.push_back(ManualCompute::Of(ExpertRig::Row(sequence, i) + more,
                                       static_cast<int32_t>(experts[i]), layer));
    }
  }
  return rows;
}

// ---- loads

TEST(ExpertNodeLoad, GoesFromJoiningThroughLoadingToReady) {
  ExpertRig rig;
  rig.node.Start(TestTime(0));
  rig.node.OnLinkUp(TestTime(0));
  EXPECT_EQ(rig.control.reports.back().state, WorkerState::kJoining);
  rig.Assign(rig.Experts(0, 1));
  EXPECT_THAT(rig.compute.loads, ElementsAre(rig.Experts(0, 1)));
  EXPECT_EQ(rig.control.reports.back().state, WorkerState::kLoading);
  EXPECT_TRUE(rig.control.reports.back().holds.empty()) << "nothing before it is tested";
  rig.Load();
  EXPECT_EQ(rig.control.reports.back().state, WorkerState::kReady);
  EXPECT_EQ(rig.control.reports.back().holds, rig.Experts(0, 1));
  EXPECT_EQ(rig.transport.hello.name, "e0");
  EXPECT_EQ(rig.transport.hello.role, WorkerRole::kExpert);
  EXPECT_EQ(rig.transport.hello.incarnation, (Incarnation{1, 9}));
}

TEST(ExpertNodeLoad, ReadsOnlyWhatIsMissingAndStaysReadyMeanwhile) {
  ExpertRig rig;
  rig.Serve();
  rig.Assign(rig.Experts(0, 3));
  EXPECT_EQ(rig.compute.loads.back(), rig.Experts(3, 3));
  EXPECT_EQ(rig.control.reports.back().state, WorkerState::kReady);
  rig.Load();
  EXPECT_EQ(rig.node.holds(), rig.Experts(0, 3));
  EXPECT_EQ(rig.control.reports.back().holds, rig.Experts(0, 3));
  rig.Assign(rig.Experts(1, 2));
  EXPECT_EQ(rig.compute.loads.size(), 2u) << "it holds them";
}

TEST(ExpertNodeLoad, ReadsWhatIsAssignedDuringALoadAfterIt) {
  ExpertRig rig;
  rig.node.Start(TestTime(0));
  rig.node.OnLinkUp(TestTime(0));
  rig.Assign(rig.Experts(0, 1));
  rig.Assign(rig.Experts(0, 2));
  EXPECT_EQ(rig.compute.loads.size(), 1u) << "one load at a time";
  rig.Load();
  EXPECT_EQ(rig.node.holds(), rig.Experts(0, 1));
  ASSERT_EQ(rig.compute.loads.size(), 2u);
  EXPECT_EQ(rig.compute.loads[1], rig.Experts(2, 2));
  rig.Load();
  EXPECT_EQ(rig.node.holds(), rig.Experts(0, 2));
}

TEST(ExpertNodeLoad, GoesOnBesideThePassThatRuns) {
  ExpertRig rig;
  rig.Serve();
  auto channel = rig.Dial(5);
  rig.Send(channel, rig.Dispatch(5, 7, {0, 1}));
  rig.Assign(rig.Experts(0, 3));
  rig.Load();
  EXPECT_THAT(channel->combines, IsEmpty()) << "the pass is not done";
  rig.FinishPass();
  ASSERT_EQ(channel->combines.size(), 1u);
  EXPECT_EQ(channel->combines[0].rows, Answer(7, {0, 1}));
}

TEST(ExpertNodeLoad, EndsTheLifeWhenItFails) {
  ExpertRig rig;
  rig.compute.load_result = absl::DataLossError("model.safetensors is cut short");
  rig.Serve();
  EXPECT_THAT(rig.host.exits, ElementsAre(rig.compute.load_result));
  EXPECT_TRUE(rig.node.holds().empty());
  EXPECT_NE(rig.control.reports.back().state, WorkerState::kReady);
}

TEST(ExpertNodeLoad, IgnoresAnAssignmentForAnotherModel) {
  ExpertRig rig;
  rig.node.Start(TestTime(0));
  rig.node.OnLinkUp(TestTime(0));
  rig.Assign(ExpertSet::Full({1, 2, 5}));
  EXPECT_THAT(rig.compute.loads, IsEmpty());
  EXPECT_THAT(rig.host.exits, IsEmpty());
}

TEST(ExpertNodeLoad, ReportsHowFarItIsAndThatItIsDone) {
  ExpertRig rig;
  rig.node.Start(TestTime(0));
  rig.node.OnLinkUp(TestTime(0));
  rig.Assign(rig.Experts(0, 1));
  rig.compute.wanted_bytes = 1000;
  rig.compute.loaded_bytes = 400;
  rig.node.Tick(TestTime(100));
  rig.node.Tick(TestTime(250));
  EXPECT_EQ(rig.control.reports.back().loaded_bytes, 400u);
  EXPECT_EQ(rig.control.reports.back().wanted_bytes, 1000u);
  rig.compute.loaded_bytes = 1000;
  rig.Load(300);
  EXPECT_EQ(rig.control.reports.back().loaded_bytes, 1000u) << "equal to wanted_bytes when done";
}

TEST(ExpertNodeLoad, EndsItsLifeWhenFenced) {
  ExpertRig rig;
  rig.Serve();
  rig.Assign(ExpertSet(), 0, "a newer life of e0 has joined");
  ASSERT_EQ(rig.host.exits.size(), 1u);
  EXPECT_EQ(rig.host.exits[0].code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(rig.host.exits[0].message()), HasSubstr("a newer life of e0"));
}

// ---- calls

TEST(ExpertNode, AnswersOneRowForEachAssignmentInTheirOrder) {
  ExpertRig rig;
  rig.Serve();
  auto channel = rig.Dial(5);
  rig.Send(channel, rig.Dispatch(5, 7, {2, 0, 1, 2}, 2, Lane::kPrefill));
  EXPECT_THAT(rig.compute.layers, ElementsAre(2));
  EXPECT_THAT(channel->combines, IsEmpty());
  rig.FinishPass();
  ASSERT_EQ(channel->combines.size(), 1u);
  EXPECT_EQ(channel->combines[0].rows, Answer(7, {2, 0, 1, 2}, 2));
  MessageHeader expected = rig.Dispatch(5, 7, {2, 0, 1, 2}, 2, Lane::kPrefill).header;
  expected.kind = MessageKind::kCombine;
  EXPECT_EQ(channel->combines[0].header, expected) << "the call, layer, lane and epoch echoed";
  rig.Flush(channel);
  EXPECT_EQ(rig.node.calls_in_hand(), 0u);
}

TEST(ExpertNode, SendsOneRowToTwoOfItsExperts) {
  ExpertRig rig;
  rig.Serve();
  auto channel = rig.Dial(5);
  Message message = rig.Dispatch(5, 7, {0, 1});
  message.assignments = {{1, 0}, {0, 2}, {1, 1}};
  rig.Send(channel, std::move(message));
  rig.FinishPass();
  const float row0 = rig.Row(7, 0), row1 = rig.Row(7, 1);
  EXPECT_THAT(channel->combines[0].rows,
              ElementsAre(ManualCompute::Of(row1, 0, 1), ManualCompute::Of(row1 + 0.5f, 0, 1),
                          ManualCompute::Of(row0, 2, 1), ManualCompute::Of(row0 + 0.5f, 2, 1),
                          ManualCompute::Of(row1, 1, 1), ManualCompute::Of(row1 + 0.5f, 1, 1)));
}

TEST(ExpertNode, PutsTheRowsOfManyPeersIntoOnePass) {
  ExpertRig rig;
  rig.Serve();
  auto a5 = rig.Dial(5), a6 = rig.Dial(6);
  rig.Send(a5, rig.Dispatch(5, 1, {0}));  // it runs alone
  rig.Send(a5, rig.Dispatch(5, 2, {1, 2}));
  rig.Send(a6, rig.Dispatch(6, 1, {0}));
  rig.Send(a6, rig.Dispatch(6, 2, {2}, 2));  // of another layer
  rig.FinishPass();
  EXPECT_EQ(rig.compute.passes.back().size(), 3u);
  rig.FinishPass();
  EXPECT_EQ(rig.compute.layers.back(), 2);
  rig.FinishPass();
  ASSERT_EQ(a5->combines.size(), 2u);
  ASSERT_EQ(a6->combines.size(), 2u);
  EXPECT_EQ(a5->combines[1].rows, Answer(2, {1, 2}));
  EXPECT_EQ(a6->combines[0].rows, Answer(1, {0}));
  EXPECT_EQ(a6->combines[1].rows, Answer(2, {2}, 2));
}

TEST(ExpertNode, AnswersACallThatTookManyPassesOnce) {
  ExpertRig rig(2);
  rig.Serve();
  auto channel = rig.Dial(5);
  rig.Send(channel, rig.Dispatch(5, 7, {0, 1, 2, 0, 1}));
  for (int pass = 0; pass < 3; ++pass) {
    EXPECT_THAT(channel->combines, IsEmpty());
    rig.FinishPass();
  }
  ASSERT_EQ(channel->combines.size(), 1u);
  EXPECT_EQ(channel->combines[0].rows, Answer(7, {0, 1, 2, 0, 1}));
}

TEST(ExpertNode, AnswersACallWithoutAssignmentsAtOnce) {
  ExpertRig rig;
  rig.Serve();
  auto channel = rig.Dial(5);
  rig.Send(channel, rig.Dispatch(5, 7, {}));
  EXPECT_THAT(rig.compute.passes, IsEmpty());
  ASSERT_EQ(channel->combines.size(), 1u);
  EXPECT_EQ(channel->combines[0].header.rows, 0u);
  rig.Flush(channel);
  EXPECT_EQ(rig.node.calls_in_hand(), 0u);
}

TEST(ExpertNode, AnswersWhateverEpochIsStamped) {
  ExpertRig rig;
  rig.Serve();
  auto channel = rig.Dial(5);
  for (Epoch epoch : {Epoch{0, 0}, Epoch{99, 99}}) {
    Message message = rig.Dispatch(5, epoch.term + 1, {1});
    message.header.epoch = epoch;
    rig.Send(channel, std::move(message));
    rig.FinishPass();
    EXPECT_EQ(channel->combines.back().header.epoch, epoch);
  }
  EXPECT_FALSE(channel->closed());
}

TEST(ExpertNode, ComputesADispatchThatComesTwiceWhileItIsInHandOnce) {
  ExpertRig rig;
  rig.Serve();
  auto channel = rig.Dial(5);
  rig.Send(channel, rig.Dispatch(5, 1, {0}));
  rig.Send(channel, rig.Dispatch(5, 2, {1}));
  rig.Send(channel, rig.Dispatch(5, 1, {0}));  // in the pass
  rig.Send(channel, rig.Dispatch(5, 2, {1}));  // waiting
  EXPECT_EQ(rig.node.calls_in_hand(), 2u);
  rig.FinishPass();
  rig.FinishPass();
  EXPECT_EQ(rig.compute.passes.size(), 2u);
  EXPECT_EQ(channel->combines.size(), 2u);
}

TEST(ExpertNode, ComputesADispatchAgainWhenItsCombineHasLeft) {
  ExpertRig rig;
  rig.Serve();
  auto channel = rig.Dial(5);
  for (int time = 1; time <= 2; ++time) {
    rig.Send(channel, rig.Dispatch(5, 1, {0, 2}));
    rig.FinishPass();
    ASSERT_EQ(channel->combines.size(), static_cast<size_t>(time));
    EXPECT_EQ(channel->combines.back().rows, Answer(1, {0, 2}));
  }
  rig.Flush(channel);
  EXPECT_EQ(rig.node.calls_in_hand(), 0u);
}

// The peer's channel broke, it opened another and sent again; we do not know of the break yet.
TEST(ExpertNode, AnswersADispatchThatIsSentAgainOnAnotherChannelThere) {
  ExpertRig rig;
  rig.Serve();
  auto older = rig.Dial(5), newer = rig.Dial(5);
  rig.Send(older, rig.Dispatch(5, 1, {0}));
  rig.Send(newer, rig.Dispatch(5, 1, {0}));
  rig.FinishPass();
  rig.Close(older);
  rig.FinishPass();
  ASSERT_EQ(newer->combines.size(), 1u);
  EXPECT_EQ(newer->combines[0].rows, Answer(1, {0}));
}

TEST(ExpertNode, KeepsSameSequencesOfUnlikePeersApart) {
  ExpertRig rig;
  rig.Serve();
  auto a5 = rig.Dial(5), a6 = rig.Dial(6);
  rig.Send(a5, rig.Dispatch(5, 1, {0}));
  rig.Send(a6, rig.Dispatch(6, 1, {2}));
  rig.FinishPass();
  rig.FinishPass();
  EXPECT_EQ(a5->combines.at(0).rows, Answer(1, {0}));
  EXPECT_EQ(a6->combines.at(0).rows, Answer(1, {2}));
}

TEST(ExpertNode, IgnoresADispatchInTheNameOfAnotherLife) {
  ExpertRig rig;
  rig.Serve();
  auto channel = rig.Dial(5);
  rig.Send(channel, rig.Dispatch(4, 1, {0}));
  EXPECT_EQ(rig.node.calls_in_hand(), 0u);
  EXPECT_FALSE(channel->closed());
}

TEST(ExpertNode, ReusesItsMemoryWithoutMixingCalls) {
  ExpertRig rig(3);
  rig.Serve();
  auto channel = rig.Dial(5);
  for (uint64_t call = 1; call <= 30; ++call) {
    std::vector<uint32_t> experts;
    for (uint64_t i = 0; i < call * 7 % 9; ++i) {
      experts.push_back(static_cast<uint32_t>((call + i) % 3));
    }
    rig.Send(channel, rig.Dispatch(5, call, experts));
    for (size_t passes = rig.compute.passes.size(); channel->combines.empty(); ++passes) {
      ASSERT_EQ(rig.compute.passes.size(), passes) << "each pass is followed by the next";
      rig.FinishPass();
    }
    ASSERT_EQ(channel->combines.back().rows, Answer(call, experts));
    rig.Flush(channel);
    channel->combines.clear();
    ASSERT_EQ(rig.node.calls_in_hand(), 0u);
  }
}

TEST(ExpertNode, TellsEveryTwoSecondsHowManyRowsEachExpertHasRun) {
  ExpertRig rig;
  rig.Serve();  // experts 0 to 2 of both layers
  auto channel = rig.Dial(5);
  rig.Send(channel, rig.Dispatch(5, 1, {0, 2, 0}));
  rig.FinishPass();
  rig.Send(channel, rig.Dispatch(5, 2, {1}, 2));
  rig.FinishPass();
  rig.node.Tick(TestTime(3000));
  EXPECT_THAT(rig.control.reports.back().rows, ElementsAre(2, 0, 1, 0, 1, 0));
  rig.node.Tick(TestTime(3300));
  EXPECT_THAT(rig.control.reports.back().rows, IsEmpty()) << "not each time";
  rig.node.Tick(TestTime(5000));
  EXPECT_THAT(rig.control.reports.back().rows, ElementsAre(2, 0, 1, 0, 1, 0));
}

// ---- unloading

TEST(ExpertNodeUnload, LetsGoOfWhatIsNoLongerWantedAndSaysSo) {
  ExpertRig rig;
  rig.Serve();  // experts 0 to 2
  rig.Assign(rig.Experts(1, 2), 10);
  ASSERT_EQ(rig.compute.unloads.size(), 1u);
  EXPECT_EQ(rig.compute.unloads[0], rig.Experts(0, 0));
  EXPECT_EQ(rig.node.holds(), rig.Experts(1, 2));
  EXPECT_EQ(rig.control.reports.back().holds, rig.Experts(1, 2));
  auto channel = rig.Dial(5);
  rig.Send(channel, rig.Dispatch(5, 1, {0}));
  EXPECT_EQ(channel->absences.size(), 1u);
}

TEST(ExpertNodeUnload, WaitsForTheCallsInHandThatNeedIt) {
  ExpertRig rig(1);
  rig.Serve();
  auto channel = rig.Dial(5);
  rig.Send(channel, rig.Dispatch(5, 1, {0, 1}));  // two passes
  rig.Send(channel, rig.Dispatch(5, 2, {2}));
  rig.Assign(rig.Experts(2, 2), 10);
  rig.Send(channel, rig.Dispatch(5, 3, {0}));
  EXPECT_EQ(channel->absences.size(), 1u) << "new calls for it are not taken";
  EXPECT_THAT(rig.compute.unloads, IsEmpty());
  rig.FinishPass();
  EXPECT_THAT(rig.compute.unloads, IsEmpty());
  while (channel->combines.empty()) rig.FinishPass();
  EXPECT_EQ(channel->combines[0].rows, Answer(1, {0, 1}));
  ASSERT_EQ(rig.compute.unloads.size(), 1u) << "the other call does not need it";
  EXPECT_EQ(rig.compute.unloads[0], rig.Experts(0, 1));
}

TEST(ExpertNodeUnload, WaitsForAPassWhoseChannelHasClosed) {
  ExpertRig rig;
  rig.Serve();
  auto channel = rig.Dial(5);
  rig.Send(channel, rig.Dispatch(5, 1, {0}));
  rig.Assign(rig.Experts(1, 2), 10);
  rig.node.OnClosed(channel->id(), absl::UnavailableError("x"), TestTime(11));
  EXPECT_THAT(rig.compute.unloads, IsEmpty()) << "the pass reads the weights";
  rig.FinishPass();
  EXPECT_EQ(rig.compute.unloads.size(), 1u);
}

TEST(ExpertNodeUnload, IsForgottenWhenItIsWantedAgain) {
  ExpertRig rig;
  rig.Serve();
  auto channel = rig.Dial(5);
  rig.Send(channel, rig.Dispatch(5, 1, {0}));
  rig.Assign(rig.Experts(1, 2), 10);
  rig.Assign(rig.Experts(0, 2), 11);
  rig.Send(channel, rig.Dispatch(5, 2, {0}));
  rig.FinishPass();
  rig.FinishPass();
  EXPECT_THAT(channel->absences, IsEmpty());
  EXPECT_EQ(channel->combines.size(), 2u);
  EXPECT_THAT(rig.compute.unloads, IsEmpty());
  EXPECT_EQ(rig.compute.loads.size(), 1u);
}

TEST(ExpertNodeUnload, DropsWhatWasLoadedInVain) {
  ExpertRig rig;
  rig.Serve();
  rig.Assign(rig.Experts(0, 3), 10);
  rig.Assign(rig.Experts(0, 2), 11);
  EXPECT_THAT(rig.compute.unloads, IsEmpty());
  rig.Load(20);
  ASSERT_EQ(rig.compute.unloads.size(), 1u);
  EXPECT_EQ(rig.compute.unloads[0], rig.Experts(3, 3));
  EXPECT_EQ(rig.node.holds(), rig.Experts(0, 2));
}

}  // namespace
}  // namespace expertmesh
