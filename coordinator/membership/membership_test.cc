#include "coordinator/membership/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/membership/test_fleet.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kAll = 12;  // experts of the test model

TEST(Membership, PlacesNothingBeforeTheInitialExpertWorkersHaveJoined) {
  TestFleet fleet({.initial_expert_workers = 2});
  TestWorker a0 = AttentionWorkerNamed("a0"), e0 = ExpertWorkerNamed("e0"),
             e1 = ExpertWorkerNamed("e1");
  EXPECT_EQ(fleet.control.WaitingFor(), "2 expert workers to join");
  for (TestWorker* worker : {&a0, &e0}) {
    fleet.Dial(*worker);
    fleet.Say(*worker, 10);
  }
  fleet.Advance(1000);
  EXPECT_TRUE(e0.assigned.empty()) << "an attention worker does not count";
  EXPECT_EQ(fleet.control.WaitingFor(), "2 expert workers to join");

  fleet.Dial(e1);
  fleet.Say(e1, 1001);
  fleet.Hear(e0);
  EXPECT_EQ(fleet.control.WaitingFor(), "");
  EXPECT_EQ(e0.assigned.size(), kAll / 2);
  EXPECT_EQ(e1.assigned.size(), kAll / 2);
  ExpertSet both = e0.assigned;
  both.InsertAll(e1.assigned);
  EXPECT_EQ(both, ExpertSet::Full(kTestGrid));
}

TEST(Membership, CountsOnlyThoseWhoAreThereAsJoined) {
  TestFleet fleet({.initial_expert_workers = 2});
  TestWorker e0 = ExpertWorkerNamed("e0"), e1 = ExpertWorkerNamed("e1");
  fleet.Dial(e0);
  fleet.Say(e0, 0);
  fleet.Hangup(e0, 1);
  fleet.Dial(e1);
  fleet.Say(e1, 2);
  EXPECT_TRUE(e1.assigned.empty());
  EXPECT_EQ(fleet.control.WaitingFor(), "2 expert workers to join");
}

TEST(Membership, NamesALifeAtItsFirstReportAndKeepsTheName) {
  TestFleet fleet({.first_number = 40});
  TestWorker e0 = ExpertWorkerNamed("e0"), e1 = ExpertWorkerNamed("e1");
  fleet.Dial(e0);
  fleet.Report(e0, 0);
  fleet.Report(e0, 1);  // it has not heard yet
  fleet.Hear(e0);
  EXPECT_EQ(e0.report.incarnation, (Incarnation{1, 40}));
  for (const Command& command : fleet.commands[e0.link]) {
    EXPECT_EQ(command.incarnation, (Incarnation{1, 40}));
    EXPECT_EQ(command.fenced, "");
  }
  fleet.Dial(e1);
  fleet.Say(e1, 2);
  EXPECT_EQ(e1.report.incarnation, (Incarnation{1, 41}));
}

TEST(Membership, AnswersEveryReportWithALeaseAndAGrowingNumber) {
  TestFleet fleet({.lease = Milliseconds(700)});
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Dial(e0);
  uint64_t number = 0;
  for (int i = 0; i < 5; ++i) {
    const size_t before = fleet.commands[e0.link].size();
    fleet.Say(e0, i * 100);
    ASSERT_GT(fleet.commands[e0.link].size(), before);
    EXPECT_EQ(fleet.Last(e0).lease, Milliseconds(700));
    EXPECT_GT(fleet.Last(e0).number, number);
    number = fleet.Last(e0).number;
  }
}

TEST(Membership, PublishesWhoIsReadyByRoleThenName) {
  TestFleet fleet({.initial_expert_workers = 2});
  TestWorker a1 = AttentionWorkerNamed("z-a1"), a0 = AttentionWorkerNamed("a0"),
             e1 = ExpertWorkerNamed("m-e1"), e0 = ExpertWorkerNamed("b-e0");
  for (TestWorker* worker : {&e1, &a1, &e0, &a0}) {
    fleet.Dial(*worker);
    fleet.Say(*worker, 0);
  }
  EXPECT_THAT(fleet.Names(), IsEmpty());
  for (TestWorker* worker : {&e1, &a1, &e0, &a0}) {
    fleet.Hear(*worker);
    fleet.Load(*worker, 1);
  }
  EXPECT_THAT(fleet.Names(), ElementsAre("a0", "z-a1", "b-e0", "m-e1"));
  EXPECT_EQ(fleet.uncovered(), 0);
  const Member& member = fleet.control.topology()->members[2];
  EXPECT_EQ(member.address, "b-e0:1");
  EXPECT_EQ(member.incarnation, e0.report.incarnation);
  EXPECT_EQ(member.holds, e0.report.holds);
  EXPECT_EQ(fleet.control.topology()->model, TestModel());
}

TEST(Membership, TellsEveryoneOfANewEpochAndNobodyTwice) {
  TestFleet fleet;
  TestWorker a0 = AttentionWorkerNamed("a0"), e0 = ExpertWorkerNamed("e0");
  fleet.Join(a0, 0);
  fleet.Join(e0, 1);
  const Epoch epoch = fleet.control.topology()->epoch;
  EXPECT_NE(a0.report.epoch, epoch);
  fleet.Hear(a0);
  EXPECT_EQ(a0.report.epoch, epoch) << "told without having asked";
  fleet.Say(a0, 2);
  EXPECT_EQ(fleet.Last(a0).topology, nullptr) << "it has this one";
  EXPECT_EQ(fleet.published.back()->epoch, epoch);
}

TEST(Membership, MakesNoNewEpochUnlessRowsAreRoutedOtherwise) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Join(e0, 0);
  const Epoch epoch = fleet.control.topology()->epoch;
  e0.report.loaded_bytes = 7;
  e0.report.load.running_sequences = 7;
  fleet.Say(e0, 100);
  fleet.Advance(200);
  EXPECT_EQ(fleet.control.topology()->epoch, epoch);
  EXPECT_EQ(fleet.Record("e0").report.loaded_bytes, 7u) << "but it is known";
  e0.report.state = WorkerState::kLoading;
  fleet.Say(e0, 300);
  EXPECT_GT(fleet.control.topology()->epoch, epoch);
  EXPECT_THAT(fleet.Names(), IsEmpty());
}

TEST(Membership, SendsWhatWasLostAgainWithTheNextReport) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Dial(e0);
  fleet.Report(e0, 0);
  const Command first = fleet.Last(e0);
  fleet.commands.clear();  // name, assignment and topology are lost on the way
  fleet.Say(e0, 250);
  EXPECT_EQ(e0.report.incarnation, first.incarnation);
  EXPECT_EQ(e0.assigned.size(), kAll);
  EXPECT_EQ(e0.report.epoch, fleet.control.topology()->epoch);
}

TEST(Membership, DropsAReportThatWasOvertakenButKeepsTheLease) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Join(e0, 0);
  Report old = e0.report;
  old.number = 1;
  old.state = WorkerState::kLoading;
  old.holds = ExpertSet(kTestGrid);
  fleet.control.OnReport(e0.link, old, fleet.At(1900));
  EXPECT_THAT(fleet.Names(), ElementsAre("e0"));
  fleet.Advance(3000);
  EXPECT_THAT(fleet.Names(), ElementsAre("e0")) << "whoever speaks is alive";
}

TEST(Membership, LosesAWorkerWhoseLinkBreaks) {
  TestFleet fleet({.initial_expert_workers = 2});
  TestWorker e0 = ExpertWorkerNamed("e0"), e1 = ExpertWorkerNamed("e1");
  for (TestWorker* worker : {&e0, &e1}) {
    fleet.Dial(*worker);
    fleet.Say(*worker, 0);
  }
  fleet.Hear(e0);
  fleet.Load(e0, 1);
  fleet.Load(e1, 1);
  const Epoch epoch = fleet.control.topology()->epoch;
  const size_t said = fleet.commands[e0.link].size();
  fleet.Hangup(e0, 10);
  EXPECT_EQ(fleet.Record("e0").state, WorkerState::kLost);
  EXPECT_EQ(fleet.commands[e0.link].size(), said) << "nothing is sent on a broken link";
  EXPECT_THAT(fleet.Names(), ElementsAre("e1"));
  EXPECT_EQ(fleet.uncovered(), kAll / 2);
  EXPECT_GT(fleet.control.topology()->epoch, epoch);
  fleet.Hear(e1);
  EXPECT_EQ(e1.report.epoch, fleet.control.topology()->epoch) << "others know at once";
}

TEST(Membership, LosesAWorkerWhoseLeaseRunsOutAndAsksToBeWokenThen) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Join(e0, 100);
  fleet.Advance(2099);
  EXPECT_EQ(fleet.control.NextWakeup(), fleet.At(2100));
  EXPECT_EQ(fleet.Record("e0").state, WorkerState::kReady);
  fleet.Advance(2100);
  EXPECT_EQ(fleet.Record("e0").state, WorkerState::kLost);
  EXPECT_EQ(fleet.uncovered(), kAll);
  EXPECT_THAT(fleet.closed, ElementsAre(e0.link)) << "so that it dials again";
}

TEST(Membership, ForgetsWhoStaysLost) {
  TestFleet fleet({.forget_lost = Milliseconds(5000)});
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Join(e0, 0);
  fleet.Hangup(e0, 100);
  fleet.Advance(2000);
  EXPECT_EQ(fleet.control.NextWakeup(), fleet.At(5100));
  fleet.Advance(5099);
  EXPECT_TRUE(fleet.control.Records().contains("e0"));
  fleet.Advance(5100);
  EXPECT_THAT(fleet.control.Records(), IsEmpty());
  EXPECT_EQ(fleet.control.NextWakeup(), kNever);
  fleet.Dial(e0);
  fleet.Say(e0, 6000);
  EXPECT_EQ(e0.fenced, "");
  EXPECT_EQ(fleet.uncovered(), 0) << "it may still come back";
}

// Control was stopped: it heard nobody, and that tells nothing about them. What they said meanwhile
// comes a little later than the first tick.
TEST(Membership, DoesNotHoldItsOwnPauseAgainstTheWorkers) {
  for (const int64_t pause : {800, 1700, 1999, 2000, 2001, 2100, 2250, 2500, 3000, 10000}) {
    for (const int64_t since_report : {0, 100, 249}) {
      TestFleet fleet;
      TestWorker e0 = ExpertWorkerNamed("e0");
      fleet.Join(e0, 0);
      fleet.Advance(since_report);
      const Epoch epoch = fleet.control.topology()->epoch;
      const int64_t back = since_report + pause;
      fleet.control.Tick(fleet.At(back));
      fleet.Advance(back + 100);
      EXPECT_EQ(fleet.Record("e0").state, WorkerState::kReady) << pause << " " << since_report;
      fleet.Say(e0, back + 100);
      EXPECT_EQ(fleet.control.topology()->epoch, epoch);
      fleet.Advance(back + 2099);
      EXPECT_EQ(fleet.Record("e0").state, WorkerState::kReady);
      fleet.Advance(back + 2100);
      EXPECT_EQ(fleet.Record("e0").state, WorkerState::kLost) << "now it is its own silence";
    }
  }
}

TEST(Membership, LosesThoseWhoStaySilentAfterItsPause) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Join(e0, 0);
  fleet.control.Tick(fleet.At(0));
  fleet.control.Tick(fleet.At(12000));
  fleet.Advance(12999);
  EXPECT_EQ(fleet.Record("e0").state, WorkerState::kReady);
  fleet.Advance(13000);
  EXPECT_EQ(fleet.Record("e0").state, WorkerState::kLost);
}

TEST(Membership, LosesTheSilentAlsoWhenItIsAlwaysLateItself) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Join(e0, 0);
  int64_t ms = 0;
  for (int tick = 0; tick < 8; ++tick) fleet.control.Tick(fleet.At(ms += 900));
  EXPECT_EQ(fleet.Record("e0").state, WorkerState::kLost);
}

TEST(Membership, ListsAWorkerOfAnotherClassWithoutWhatOthersAnswerForAndSaysSo) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0"), other = ExpertWorkerNamed("e1");
  fleet.Join(e0, 0);
  fleet.Hangup(e0, 10);
  other.report.compute_class = {"cpu-amx-bf16", 7};
  fleet.Join(other, 20);  // it takes what e0 had
  EXPECT_EQ(fleet.uncovered(), 0);
  fleet.Dial(e0);
  fleet.Say(e0, 30);
  EXPECT_THAT(fleet.Record("e0").note, HasSubstr("not used for layers 1-2: experts 0-5"));
  EXPECT_THAT(fleet.Record("e0").note, HasSubstr("theirs is cpu-amx-bf16"));
  EXPECT_EQ(fleet.control.topology()->members[0].holds.size(), 0);
  EXPECT_EQ(fleet.control.topology()->members[1].holds.size(), kAll);
  fleet.Hangup(other, 40);
  EXPECT_EQ(fleet.Record("e0").note, "");
  EXPECT_EQ(fleet.uncovered(), 0) << "its turn";
}

TEST(Membership, TakesALifeBackWithWhatItHolds) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Join(e0, 0);
  const Incarnation life = e0.report.incarnation;
  fleet.Hangup(e0, 10);
  fleet.Dial(e0);
  e0.report.number = 0;  // numbers count per link
  fleet.Say(e0, 60);
  EXPECT_EQ(e0.report.incarnation, life);
  EXPECT_EQ(e0.fenced, "");
  EXPECT_EQ(fleet.Record("e0").state, WorkerState::kReady) << "at once: it has loaded already";
  EXPECT_EQ(fleet.uncovered(), 0);
  EXPECT_EQ(e0.assigned.size(), kAll);
}

TEST(Membership, TakesALifeBackThoughItsOldLinkIsNotKnownToBeBroken) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Join(e0, 0);
  const LinkId old = e0.link;
  fleet.Dial(e0);
  fleet.Say(e0, 60);
  EXPECT_EQ(e0.fenced, "");
  EXPECT_THAT(fleet.closed, ElementsAre(old));
  fleet.control.OnLinkClosed(old, fleet.At(70));
  EXPECT_EQ(fleet.Record("e0").state, WorkerState::kReady) << "the old link is not it any more";
}

TEST(Membership, ANewcomerTakesWhatIsUncovered) {
  TestFleet fleet({.initial_expert_workers = 2});
  TestWorker e0 = ExpertWorkerNamed("e0"), e1 = ExpertWorkerNamed("e1");
  for (TestWorker* worker : {&e0, &e1}) {
    fleet.Dial(*worker);
    fleet.Say(*worker, 0);
  }
  fleet.Hear(e0);
  fleet.Load(e0, 1);
  fleet.Load(e1, 1);
  const ExpertSet of_e0 = e0.assigned, of_e1 = e1.assigned;
  TestWorker spare = ExpertWorkerNamed("e2");
  fleet.Dial(spare);
  fleet.Say(spare, 2);
  EXPECT_TRUE(spare.assigned.empty()) << "nothing is uncovered";

  fleet.Hangup(e0, 10);
  fleet.Hear(spare);
  fleet.Hear(e1);
  EXPECT_EQ(spare.assigned, of_e0);
  EXPECT_EQ(e1.assigned, of_e1) << "who has experts keeps to them";
  fleet.Load(spare, 20);
  EXPECT_EQ(fleet.uncovered(), 0);
}

TEST(Membership, ANewLifeOfALostWorkerTakesItsPlace) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Join(e0, 0);
  fleet.Hangup(e0, 10);
  TestWorker again = ExpertWorkerNamed("e0");
  fleet.Dial(again);
  fleet.Say(again, 500);
  EXPECT_GT(again.report.incarnation, e0.report.incarnation);
  EXPECT_EQ(again.assigned.size(), kAll);
}

TEST(Membership, GivesNobodyMoreThanItsMemoryHolds) {
  TestFleet fleet({.initial_expert_workers = 2});
  TestWorker e0 = ExpertWorkerNamed("e0"), e1 = ExpertWorkerNamed("e1");
  e0.report.memory_bytes = 3 * kTestExpertBytes + 99;
  e1.report.memory_bytes = 4 * kTestExpertBytes;
  for (TestWorker* worker : {&e0, &e1}) {
    fleet.Dial(*worker);
    fleet.Say(*worker, 0);
  }
  fleet.Hear(e0);
  EXPECT_EQ(e0.assigned.size(), 3);
  EXPECT_EQ(e1.assigned.size(), 4);
  fleet.Load(e0, 1);
  fleet.Load(e1, 1);
  EXPECT_EQ(fleet.uncovered(), kAll - 7) << "what fits nowhere is said to be uncovered";
  TestWorker e2 = ExpertWorkerNamed("e2");
  fleet.Join(e2, 2);
  EXPECT_EQ(e2.assigned.size(), kAll - 7);
  EXPECT_EQ(fleet.uncovered(), 0);
}

// A life that loads goes on loading while its link is broken: giving it other experts when it comes
// back would be more than it has room for.
TEST(Membership, KeepsToWhatALifeIsLoadingWhenItComesBack) {
  TestFleet fleet({.initial_expert_workers = 2});
  TestWorker e0 = ExpertWorkerNamed("e0"), e1 = ExpertWorkerNamed("e1");
  for (TestWorker* worker : {&e0, &e1}) {
    worker->report.memory_bytes = kAll / 2 * kTestExpertBytes;
    fleet.Dial(*worker);
    fleet.Say(*worker, 0);
  }
  fleet.Hear(e0);
  const ExpertSet loading = e1.assigned;
  for (TestWorker* worker : {&e0, &e1}) {
    worker->report.state = WorkerState::kLoading;
    fleet.Say(*worker, 1);
    fleet.Hangup(*worker, 10);
  }
  for (TestWorker* worker : {&e1, &e0}) {  // the other way round
    fleet.Dial(*worker);
    fleet.Say(*worker, 60);
  }
  fleet.Hear(e1);
  EXPECT_EQ(e1.assigned, loading);
  ExpertSet both = e0.assigned;
  both.InsertAll(e1.assigned);
  EXPECT_EQ(both.size(), kAll);
}

TEST(Membership, WaitsForNobodyWhenTheModelHasNoRoutedExperts) {
  TestFleet fleet;
  TestWorker a0 = AttentionWorkerNamed("a0");
  a0.report.model.grid = ExpertGrid();
  fleet.Join(a0, 0);
  EXPECT_THAT(fleet.Names(), ElementsAre("a0"));
  EXPECT_EQ(fleet.uncovered(), 0);
  EXPECT_EQ(fleet.control.WaitingFor(), "");
}

TEST(Membership, RefusesAnotherModelByName) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  fleet.Join(e0, 0);
  for (int what = 0; what < 2; ++what) {
    TestWorker other = ExpertWorkerNamed("other");
    other.report.model.name = "large";
    if (what == 0) other.report.model.fingerprint = {1, 2};
    if (what == 1) other.report.model.grid.experts = 7;
    fleet.Dial(other);
    fleet.Say(other, 10);
    EXPECT_THAT(other.fenced, HasSubstr("its model large has fingerprint"));
    EXPECT_THAT(other.fenced, HasSubstr("the fleet serves tiny with"));
    EXPECT_THAT(other.fenced, HasSubstr(ToString(TestModel().fingerprint)));
    EXPECT_FALSE(fleet.control.Records().contains("other"));
  }
  EXPECT_THAT(fleet.Names(), ElementsAre("e0"));
}

TEST(Membership, RefusesAWorkerWithoutAName) {
  TestFleet fleet;
  TestWorker nobody = ExpertWorkerNamed("");
  fleet.Dial(nobody);
  fleet.Say(nobody, 0);
  EXPECT_EQ(nobody.fenced, "a worker needs a name");
  EXPECT_THAT(fleet.control.Records(), IsEmpty());
}

TEST(Membership, HearsNothingOnALinkThatIsNotOpen) {
  TestFleet fleet;
  TestWorker e0 = ExpertWorkerNamed("e0");
  e0.link = 77;
  fleet.Report(e0, 0);
  EXPECT_THAT(fleet.control.Records(), IsEmpty());
  fleet.Dial(e0);
  fleet.Hangup(e0, 1);
  fleet.Report(e0, 2);
  EXPECT_THAT(fleet.control.Records(), IsEmpty());
}

}  // namespace
}  // namespace expertmesh
