// Lives and reigns: of two lives of one name the newer wins, and a restarted control takes over
// what it finds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/membership/test_fleet.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kAll = 12;  // experts of the test model

// ---- two lives of one name

TEST(MembershipLives, TheNewerLifeOfANameWinsAndTheOlderIsFenced) {
  TestFleet fleet;
  TestWorker older = ExpertWorkerNamed("e0"), newer = ExpertWorkerNamed("e0");
  fleet.Join(older, 0);
  fleet.Dial(newer);
  fleet.Say(newer, 10);
  EXPECT_GT(newer.report.incarnation, older.report.incarnation);
  EXPECT_EQ(newer.fenced, "");
  fleet.Hear(older);
  EXPECT_EQ(older.fenced, "a newer life of e0 has joined");
  EXPECT_THAT(fleet.Names(), IsEmpty()) << "the older life's experts are not the newer's";
}

TEST(MembershipLives, TheOlderLifeIsToldAgainIfItDidNotHear) {
  TestFleet fleet;
  TestWorker older = ExpertWorkerNamed("e0"), newer = ExpertWorkerNamed("e0");
  fleet.Join(older, 0);
  fleet.Join(newer, 10);
  fleet.commands.clear();
  older.heard = 0;
  fleet.Say(older, 20);
  EXPECT_THAT(older.fenced, HasSubstr("a newer life of e0 is 1#2"));
  EXPECT_EQ(fleet.Record("e0").incarnation, newer.report.incarnation);
  EXPECT_THAT(fleet.Names(), ElementsAre("e0"));
}

TEST(MembershipLives, TheOlderLifesEndIsNotTheNewers) {
  TestFleet fleet;
  TestWorker older = ExpertWorkerNamed("e0"), newer = ExpertWorkerNamed("e0");
  fleet.Join(older, 0);
  fleet.Join(newer, 10);
  fleet.Hangup(older, 20);
  EXPECT_EQ(fleet.Record("e0").state, WorkerState::kReady);
  EXPECT_EQ(fleet.uncovered(), 0);
}

TEST(MembershipLives, AnOlderLifeThatDialsAgainIsFenced) {
  TestFleet fleet;
  TestWorker older = ExpertWorkerNamed("e0"), newer = ExpertWorkerNamed("e0");
  fleet.Join(older, 0);
  fleet.Hangup(older, 5);  // a partition; a new life is started meanwhile
  fleet.Join(newer, 10);
  fleet.Dial(older);
  fleet.Say(older, 20);
  EXPECT_THAT(older.fenced, HasSubstr("a newer life of e0"));
  EXPECT_EQ(fleet.Record("e0").incarnation, newer.report.incarnation);
  EXPECT_EQ(fleet.uncovered(), 0);
}

// A worker lost its link before it heard its name, and dialled again. Its report from the first
// link comes last.
TEST(MembershipLives, ALateReportOfAnOlderLinkFencesNobody) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Dial(e0);
  const LinkId old = e0.link;
  Report late = e0.report;
  late.number = 1;
  fleet.Dial(e0);
  fleet.Say(e0, 60);
  fleet.Load(e0, 70);
  fleet.control.OnReport(old, late, fleet.At(80));
  fleet.control.OnLinkClosed(old, fleet.At(90));
  fleet.Say(e0, 100);
  EXPECT_EQ(e0.fenced, "");
  EXPECT_EQ(fleet.Record("e0").incarnation, e0.report.incarnation);
  EXPECT_EQ(fleet.uncovered(), 0);
}

// As above, but the newer link has broken, too, before the late report comes (simulation seed 282).
TEST(MembershipLives, ALateReportOfAnOlderLinkNamesNobodyAnewWhenTheNewerOneIsBroken) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Dial(e0);
  const LinkId old = e0.link;
  Report late = e0.report;
  late.number = 1;
  fleet.Dial(e0);
  fleet.Say(e0, 60);
  fleet.Hangup(e0, 70);
  fleet.control.OnReport(old, late, fleet.At(80));
  fleet.Dial(e0);
  fleet.Say(e0, 100);
  EXPECT_EQ(e0.fenced, "");
  EXPECT_EQ(fleet.Record("e0").incarnation, e0.report.incarnation);
}

// Two processes were started under one name, and the one that dialled first spoke last.
TEST(MembershipLives, OfTwoNamelessLivesTheOneOfTheLaterLinkStays) {
  TestFleet fleet;
  TestWorker first = ExpertWorkerNamed("e0"), second = ExpertWorkerNamed("e0");
  fleet.Dial(first);
  fleet.Dial(second);
  fleet.Say(second, 10);
  fleet.Say(first, 20);
  EXPECT_EQ(first.fenced, "a newer life of e0 has joined");
  fleet.Say(second, 30);
  EXPECT_EQ(second.fenced, "");
}

TEST(MembershipLives, ALateReportOfAnOlderLinkChangesNothing) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Dial(e0);
  fleet.Say(e0, 0);
  const LinkId old = e0.link;
  Report late = e0.report;  // JOINING, with nothing loaded
  late.number = 2;
  fleet.Dial(e0);
  fleet.Say(e0, 60);
  fleet.Load(e0, 70);
  const Epoch epoch = fleet.control.topology()->epoch;
  fleet.control.OnReport(old, late, fleet.At(80));
  EXPECT_EQ(fleet.control.topology()->epoch, epoch);
  EXPECT_THAT(fleet.closed, ElementsAre(old)) << "never the new one";
}

// ---- a restarted control

// A worker of a fleet that an older control ran: it holds `first` to `last` of both layers.
TestWorker OldWorker(const std::string& name, uint64_t number, int32_t first, int32_t last) {
  TestWorker worker = ExpertWorkerNamed(name);
  worker.report.incarnation = {1, number};
  worker.report.highest_term = 1;
  worker.report.epoch = {1, 9};
  worker.report.state = WorkerState::kReady;
  worker.report.number = 500;
  for (int32_t layer : {1, 2}) {
    for (int32_t e = first; e <= last; ++e) worker.report.holds.Insert(layer, e);
  }
  return worker;
}

TEST(MembershipRestart, RaisesTheTermAboveWhatAnyWorkerHasSeen) {
  TestFleet fleet({.first_number = 1000}, TestFleet::Start::kInRecovery);
  TestWorker e0 = OldWorker("e0", 3, 0, 5);
  e0.report.highest_term = 8;
  fleet.Dial(e0);
  fleet.Say(e0, 0);
  EXPECT_EQ(fleet.control.term(), 9u);
  EXPECT_EQ(fleet.Last(e0).term, 9u);
  EXPECT_EQ(e0.report.incarnation, (Incarnation{1, 3})) << "the life keeps its name";
  EXPECT_GT(fleet.control.topology()->epoch, (Epoch{8, UINT64_MAX}));
  EXPECT_EQ(e0.report.epoch, fleet.control.topology()->epoch);
  TestWorker fresh = ExpertWorkerNamed("e1");
  fleet.Dial(fresh);
  fleet.Say(fresh, 1);
  EXPECT_EQ(fresh.report.incarnation.term, 9u);
}

TEST(MembershipRestart, AdoptsWhatWorkersHoldAtOnce) {
  TestFleet fleet({.first_number = 1000}, TestFleet::Start::kInRecovery);
  TestWorker e0 = OldWorker("e0", 3, 0, 2), e1 = OldWorker("e1", 4, 3, 5);
  for (TestWorker* worker : {&e0, &e1}) {
    fleet.Dial(*worker);
    fleet.Say(*worker, 0);
  }
  EXPECT_THAT(fleet.Names(), ElementsAre("e0", "e1"));
  EXPECT_EQ(fleet.uncovered(), 0);
  EXPECT_EQ(fleet.control.WaitingFor(), "") << "nothing is missing";
  EXPECT_EQ(e0.assigned, e0.report.holds);
  EXPECT_EQ(e1.assigned, e1.report.holds);
}

TEST(MembershipRestart, PlacesNothingBeforeOneLeaseHasPassed) {
  TestFleet fleet({.first_number = 1000}, TestFleet::Start::kInRecovery);
  TestWorker e0 = OldWorker("e0", 3, 0, 2), fresh = ExpertWorkerNamed("e9");
  for (TestWorker* worker : {&e0, &fresh}) {
    fleet.Dial(*worker);
    fleet.Say(*worker, 100);
  }
  EXPECT_THAT(fleet.control.WaitingFor(), HasSubstr("running fleet to report"));
  EXPECT_EQ(fleet.control.NextWakeup(), fleet.At(0) + kLease);
  for (TestWorker* worker : {&e0, &fresh}) fleet.Say(*worker, 1900);
  fleet.Advance(1999);
  fleet.Hear(fresh);
  EXPECT_TRUE(fresh.assigned.empty()) << "who holds the rest may yet report";

  fleet.Advance(2000);
  fleet.Hear(fresh);
  ExpertSet rest = ExpertSet::Full(kTestGrid);
  rest.RemoveAll(e0.report.holds);
  EXPECT_EQ(fresh.assigned, rest);
  EXPECT_EQ(fleet.control.WaitingFor(), "");
}

// Nobody is there to take what is uncovered: it waits for events, not for a time that has passed.
TEST(MembershipRestart, IsNotWokenAgainAndAgainWhenNobodyTakesTheRest) {
  TestFleet fleet({.first_number = 1000}, TestFleet::Start::kInRecovery);
  TestWorker e0 = OldWorker("e0", 3, 0, 2);
  fleet.Dial(e0);
  fleet.Say(e0, 100);
  fleet.Say(e0, 1900);
  fleet.Advance(2000);
  EXPECT_GT(fleet.control.NextWakeup(), fleet.At(2000));
}

TEST(MembershipRestart, GivesANewcomerNothingThatAnOldWorkerReportsInTime) {
  TestFleet fleet({.first_number = 1000}, TestFleet::Start::kInRecovery);
  TestWorker e0 = OldWorker("e0", 3, 0, 2), fresh = ExpertWorkerNamed("e9"),
             e1 = OldWorker("e1", 4, 3, 5);
  for (TestWorker* worker : {&e0, &fresh}) {
    fleet.Dial(*worker);
    fleet.Say(*worker, 100);
  }
  fleet.Dial(e1);
  fleet.Say(e1, 1500);
  for (TestWorker* worker : {&e0, &fresh}) fleet.Say(*worker, 1900);
  fleet.Advance(2000);
  fleet.Hear(fresh);
  EXPECT_TRUE(fresh.assigned.empty());
}

// A life that was named before the term was known is not another's: numbers start elsewhere with
// each control.
TEST(MembershipRestart, TellsLivesApartThatTwoControlsNamedInOneTerm) {
  TestFleet before({.first_number = 10}), after({.first_number = 2000});
  TestWorker old = ExpertWorkerNamed("e0"), fresh = ExpertWorkerNamed("e0");
  before.Join(old, 0);
  after.Dial(fresh);
  after.Say(fresh, 0);
  EXPECT_EQ(fresh.report.incarnation.term, old.report.incarnation.term);
  after.Dial(old);
  after.Say(old, 1);
  EXPECT_THAT(old.fenced, HasSubstr("a newer life of e0")) << "the newer started later";
  EXPECT_EQ(fresh.fenced, "");
  EXPECT_EQ(after.Record("e0").incarnation, fresh.report.incarnation);
}

// Nor does a higher term make an old life newer than one that we named before we knew of that term
// (simulation seed 164324).
TEST(MembershipRestart, ALifeThatItNamedIsNewerThanOneOfAnEarlierControl) {
  TestFleet fleet({.first_number = 2000}, TestFleet::Start::kInRecovery);
  TestWorker fresh = ExpertWorkerNamed("e0"), old = OldWorker("e0", 3, 0, 2);
  old.report.incarnation = {2, 3};
  old.report.highest_term = 2;
  fleet.Join(fresh, 0);
  fleet.Dial(old);
  fleet.Say(old, 10);
  EXPECT_THAT(old.fenced, HasSubstr("a newer life of e0"));
  fleet.Say(fresh, 20);
  EXPECT_EQ(fresh.fenced, "");
  EXPECT_EQ(fleet.uncovered(), 0);
}

// The highest term there is: nobody can be obeyed above it, and nobody has to be.
TEST(MembershipRestart, IsNotRaisedAboveTheHighestTermByAnybody) {
  TestFleet fleet({}, TestFleet::Start::kInRecovery);
  TestWorker e0 = ExpertWorkerNamed("e0"), liar = OldWorker("x0", 3, 0, 5);
  fleet.Join(e0, 0);
  liar.report.highest_term = kMaxTerm;
  fleet.Dial(liar);
  fleet.Say(liar, 10);
  EXPECT_EQ(fleet.control.term(), 1u);
  EXPECT_THAT(fleet.closed, ElementsAre(liar.link));
  liar.report.highest_term = kMaxTerm - 1;
  fleet.Dial(liar);
  fleet.Say(liar, 20);
  EXPECT_EQ(fleet.control.term(), kMaxTerm);
  fleet.Say(e0, 30);
  fleet.Say(e0, 40);
  EXPECT_EQ(e0.report.highest_term, kMaxTerm) << "still heard, still obeyed";
  EXPECT_EQ(fleet.Record("e0").state, WorkerState::kReady);
}

// A worker that is refused says nothing about this fleet.
TEST(MembershipRestart, ARefusedWorkersTermIsNoSignOfARunningFleet) {
  TestFleet fleet({.initial_expert_workers = 2});
  TestWorker e0 = ExpertWorkerNamed("e0"), stray = OldWorker("x0", 3, 0, 5);
  fleet.Dial(e0);
  fleet.Say(e0, 0);
  stray.report.model.fingerprint = {1, 2};
  stray.report.highest_term = 5;
  fleet.Dial(stray);
  fleet.Say(stray, 10);
  EXPECT_THAT(stray.fenced, HasSubstr("the fleet serves tiny"));
  fleet.Say(e0, 20);
  EXPECT_TRUE(e0.assigned.empty()) << "the second initial worker is still waited for";
}

// Split control: another one ran the fleet for a while. Whoever has a lower term is not heard.
TEST(MembershipRestart, RaisesItsTermWhenALifeThatItKnowsHasSeenAHigherOne) {
  TestFleet fleet({}, TestFleet::Start::kInRecovery);
  TestWorker e0 = ExpertWorkerNamed("e0"), a0 = AttentionWorkerNamed("a0");
  fleet.Join(e0, 0);
  fleet.Join(a0, 0);
  const Epoch epoch = fleet.control.topology()->epoch;
  e0.report.highest_term = 5;
  fleet.Say(e0, 100);
  EXPECT_EQ(fleet.control.term(), 6u);
  EXPECT_EQ(fleet.Last(e0).term, 6u) << "so it is obeyed";
  EXPECT_GT(fleet.control.topology()->epoch, (Epoch{6, 0}));
  EXPECT_GT(fleet.control.topology()->epoch, epoch);
  EXPECT_EQ(fleet.uncovered(), 0);
  fleet.Say(a0, 200);
  EXPECT_EQ(a0.report.epoch, fleet.control.topology()->epoch);
}

TEST(MembershipRestart, RefusesAnotherModelInATermThatTheWorkerObeys) {
  TestFleet fleet({}, TestFleet::Start::kInRecovery);
  TestWorker e0 = ExpertWorkerNamed("e0"), other = OldWorker("x0", 3, 0, 5);
  fleet.Join(e0, 0);
  other.report.model.fingerprint = {1, 2};
  other.report.highest_term = 5;
  fleet.Dial(other);
  fleet.Say(other, 10);
  EXPECT_THAT(other.fenced, HasSubstr("the fleet serves tiny"));
}

TEST(MembershipRestart, EpochsOnlyEverGrow) {
  TestFleet fleet({.initial_expert_workers = 1, .first_number = 1000},
                  TestFleet::Start::kInRecovery);
  TestWorker fresh = ExpertWorkerNamed("e9"), e0 = OldWorker("e0", 3, 0, 2),
             e1 = OldWorker("e1", 4, 3, 5);
  e1.report.highest_term = 7;
  fleet.Join(fresh, 0);
  for (TestWorker* worker : {&e0, &e1}) {
    fleet.Dial(*worker);
    fleet.Say(*worker, 10);
  }
  fleet.Hangup(e0, 20);
  fleet.Advance(5000);
  ASSERT_GE(fleet.published.size(), 5u);
  for (size_t i = 1; i < fleet.published.size(); ++i) {
    EXPECT_GT(fleet.published[i]->epoch, fleet.published[i - 1]->epoch);
  }
}

// Workers that run go on by the topology that they have: one that lacks those who have not
// reported yet would end sequences for nothing.
TEST(MembershipRestart, PublishesNothingThatLacksExpertsBeforeOneLeaseHasPassed) {
  TestFleet fleet({.first_number = 1000}, TestFleet::Start::kInRecovery);
  TestWorker e0 = OldWorker("e0", 3, 0, 2), e1 = OldWorker("e1", 4, 3, 5);
  fleet.Dial(e0);
  fleet.Say(e0, 100);
  EXPECT_EQ(fleet.control.topology(), nullptr);
  EXPECT_EQ(e0.report.epoch, (Epoch{1, 9})) << "it keeps what it has";
  EXPECT_EQ(fleet.Last(e0).lease, kLease) << "and its lease";
  fleet.Dial(e1);
  fleet.Say(e1, 200);
  ASSERT_NE(fleet.control.topology(), nullptr) << "all is covered";
  EXPECT_EQ(fleet.published.size(), 1u);
  fleet.Hear(e0);
  EXPECT_EQ(e0.report.epoch, fleet.control.topology()->epoch);
}

TEST(MembershipRestart, PublishesWhatThereIsAfterOneLease) {
  TestFleet fleet({.first_number = 1000}, TestFleet::Start::kInRecovery);
  TestWorker e0 = OldWorker("e0", 3, 0, 2);
  fleet.Dial(e0);
  fleet.Say(e0, 100);
  fleet.Say(e0, 1900);
  EXPECT_TRUE(fleet.published.empty());
  fleet.Advance(2000);
  EXPECT_EQ(fleet.published.size(), 1u);
  EXPECT_EQ(fleet.uncovered(), kAll / 2);
}

// It was told what to hold by the control before, and has room for nothing else.
TEST(MembershipRestart, LeavesALifeThatLoadsWithWhatItLoads) {
  TestFleet fleet({.first_number = 1000}, TestFleet::Start::kInRecovery);
  TestWorker e0 = OldWorker("e0", 3, 0, 5), fresh = ExpertWorkerNamed("e9");
  e0.report.state = WorkerState::kLoading;
  std::swap(e0.report.holds, e0.report.loading);
  for (TestWorker* worker : {&e0, &fresh}) {
    fleet.Dial(*worker);
    fleet.Say(*worker, 100);
  }
  for (TestWorker* worker : {&e0, &fresh}) fleet.Say(*worker, 1900);
  fleet.Advance(2000);
  fleet.Hear(e0);
  fleet.Hear(fresh);
  EXPECT_EQ(e0.assigned, ExpertSet::Full(kTestGrid));
  EXPECT_TRUE(fresh.assigned.empty());
}

// ---- the fleet's model

TestWorker OfOtherModel(TestWorker worker) {
  worker.report.model.name = "large";
  worker.report.model.fingerprint = {1, 2};
  return worker;
}

TEST(MembershipModel, IsForgottenWithTheLastLiveWorkerThatHasIt) {
  TestFleet fleet;
  TestWorker wrong = OfOtherModel(ExpertWorkerNamed("e0")), right = ExpertWorkerNamed("e1");
  fleet.Join(wrong, 0);
  const Epoch epoch = fleet.control.topology()->epoch;
  fleet.Dial(right);
  fleet.Say(right, 10);
  EXPECT_THAT(right.fenced, HasSubstr("the fleet serves large"));
  fleet.Hangup(wrong, 20);
  TestWorker early = ExpertWorkerNamed("e1");
  fleet.Dial(early);
  fleet.Say(early, 2019);
  EXPECT_THAT(early.fenced, HasSubstr("the fleet serves large")) << "it may yet come back";
  TestWorker again = ExpertWorkerNamed("e1");
  fleet.Join(again, 2020);
  EXPECT_EQ(again.fenced, "");
  EXPECT_EQ(fleet.uncovered(), 0);
  EXPECT_EQ(fleet.control.topology()->model.name, "tiny");
  EXPECT_GT(fleet.control.topology()->epoch, epoch);
  fleet.Dial(wrong);
  fleet.Say(wrong, 2030);
  EXPECT_THAT(wrong.fenced, HasSubstr("the fleet serves tiny"));
}

TEST(MembershipModel, ItsFirstPlacementWaitsForTheInitialWorkersAgain) {
  TestFleet fleet({.initial_expert_workers = 2});
  TestWorker w0 = OfOtherModel(ExpertWorkerNamed("w0")), w1 = OfOtherModel(ExpertWorkerNamed("w1")),
             e0 = ExpertWorkerNamed("e0"), e1 = ExpertWorkerNamed("e1");
  for (TestWorker* worker : {&w0, &w1}) {
    fleet.Dial(*worker);
    fleet.Say(*worker, 0);
  }
  for (TestWorker* worker : {&w0, &w1}) fleet.Hangup(*worker, 10);
  fleet.Dial(e0);
  fleet.Say(e0, 2020);
  EXPECT_TRUE(e0.assigned.empty());
  fleet.Dial(e1);
  fleet.Say(e1, 2030);
  EXPECT_EQ(e1.assigned.size(), kAll / 2);
}

// A stray worker was the first that a restarted control heard of.
TEST(MembershipModel, InRecoveryTheRunningFleetsModelOutvotesANewcomers) {
  TestFleet fleet({.first_number = 1000}, TestFleet::Start::kInRecovery);
  TestWorker stray = OfOtherModel(ExpertWorkerNamed("x0")), e0 = OldWorker("e0", 3, 0, 5);
  fleet.Dial(stray);
  fleet.Say(stray, 0);
  fleet.Dial(e0);
  fleet.Say(e0, 10);
  EXPECT_EQ(e0.fenced, "");
  fleet.Hear(stray);
  EXPECT_THAT(stray.fenced, HasSubstr("its model large is not the fleet's"));
  EXPECT_THAT(fleet.Names(), ElementsAre("e0"));
  fleet.Say(stray, 20);
  EXPECT_THAT(fleet.Last(stray).fenced, HasSubstr("the fleet serves tiny"));
}

// One stray worker and a link of each that broke for a moment.
TEST(MembershipModel, IsNotGivenUpWhileThoseWhoHaveItMayComeBack) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0"), stray = OfOtherModel(ExpertWorkerNamed("x0"));
  fleet.Join(e0, 0);
  fleet.Hangup(e0, 10);
  fleet.Dial(stray);
  fleet.Say(stray, 20);
  EXPECT_THAT(stray.fenced, HasSubstr("the fleet serves tiny"));
  fleet.Dial(e0);
  fleet.Say(e0, 60);
  EXPECT_EQ(e0.fenced, "");
  EXPECT_EQ(fleet.uncovered(), 0);
}

TEST(MembershipModel, WhoHoldsExpertsIsNotOutvoted) {
  TestFleet fleet({.first_number = 1000}, TestFleet::Start::kInRecovery);
  TestWorker e0 = ExpertWorkerNamed("e0"), stray = OfOtherModel(OldWorker("x0", 3, 0, 5));
  fleet.Join(e0, 0);
  fleet.Dial(stray);
  fleet.Say(stray, 10);
  EXPECT_THAT(stray.fenced, HasSubstr("the fleet serves tiny"));
  EXPECT_THAT(fleet.Names(), ElementsAre("e0"));
}

}  // namespace
}  // namespace expertmesh
