#include "cluster/worker_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const ExpertGrid kGrid{1, 1, 8};

constexpr Time At(int64_t ms) { return Time{} + std::chrono::hours(1) + Milliseconds(ms); }

ExpertSet Experts(const std::vector<int32_t>& experts) {
  ExpertSet set(kGrid);
  for (int32_t e : experts) set.Insert(1, e);
  return set;
}

Report Identity() {
  Report identity;
  identity.name = "e0";
  identity.model.grid = kGrid;
  identity.holds = ExpertSet(kGrid);
  return identity;
}

std::shared_ptr<const Topology> TopologyOf(Epoch epoch) {
  auto topology = std::make_shared<Topology>();
  topology->epoch = epoch;
  return topology;
}

class RecordingHost final : public WorkerSessionHost {
 public:
  void Connect() override { ++connects; }
  void SendReport(const Report& report) override { reports.push_back(report); }
  void Assign(const ExpertSet& experts) override { assigned.push_back(experts); }
  void AdoptTopology(std::shared_ptr<const Topology> topology) override {
    epochs.push_back(topology->epoch);
  }
  void AdoptIncarnation(Incarnation incarnation) override { incarnations.push_back(incarnation); }
  void LeaseChanged(bool held) override { leases.push_back(held); }
  void DrainWanted(bool wanted) override { drain_wanted = wanted; }
  void Released() override { ++releases; }
  void LeftAlone() override { ++alone; }
  void Fenced(const std::string& why) override { fences.push_back(why); }

  int connects = 0;
  std::vector<Report> reports;
  std::vector<ExpertSet> assigned;
  std::vector<Epoch> epochs;
  std::vector<Incarnation> incarnations;
  std::vector<bool> leases;
  std::vector<std::string> fences;
  bool drain_wanted = false;
  int releases = 0, alone = 0;
};

// A session whose link came up at 0 and that was given incarnation 1#5 by command 1 of term 1.
class WorkerSessionTest : public testing::Test {
 protected:
  WorkerSessionTest() : session_(Identity(), &host_) {
    session_.Start(At(0));
    session_.OnLinkUp(At(0));
    session_.OnCommand(Next(), At(0));
  }

  // A command of the term and life that the session is in, with the next number.
  Command Next() {
    Command command;
    command.term = 1;
    command.number = ++number_;
    command.incarnation = {1, 5};
    command.lease = kLease;
    return command;
  }
  Command Numbered(uint64_t term, uint64_t number) {
    Command command = Next();
    command.term = term;
    command.number = number;
    return command;
  }

  RecordingHost host_;
  WorkerSession session_;
  uint64_t number_ = 0;
};

TEST_F(WorkerSessionTest, ConnectsAtStartAndReportsAtOnceWhenTheLinkIsUp) {
  RecordingHost host;
  WorkerSession session(Identity(), &host);
  EXPECT_EQ(session.NextWakeup(), kNever);
  session.Start(At(0));
  EXPECT_EQ(host.connects, 1);
  EXPECT_THAT(host.reports, IsEmpty());
  session.OnLinkUp(At(3));
  ASSERT_EQ(host.reports.size(), 1u);
  EXPECT_EQ(host.reports[0].name, "e0");
  EXPECT_EQ(host.reports[0].incarnation, Incarnation());
  EXPECT_EQ(session.NextWakeup(), At(3) + kReportPeriod);
}

TEST_F(WorkerSessionTest, TakesItsNameAndSaysSoAtOnce) {
  EXPECT_THAT(host_.incarnations, ElementsAre(Incarnation{1, 5}));
  ASSERT_EQ(host_.reports.size(), 2u);
  EXPECT_EQ(host_.reports[1].incarnation, (Incarnation{1, 5}));
  EXPECT_EQ(host_.reports[1].highest_term, 1u);
  session_.OnCommand(Next(), At(1));
  EXPECT_EQ(host_.incarnations.size(), 1u) << "the same name is no news";
  EXPECT_EQ(host_.reports.size(), 2u);
}

TEST_F(WorkerSessionTest, ReportsEveryPeriodWithGrowingNumbers) {
  host_.reports.clear();
  for (int64_t ms = 1; ms <= 1000; ++ms) {
    if (session_.NextWakeup() <= At(ms)) session_.OnTick(At(ms));
  }
  ASSERT_EQ(host_.reports.size(), 4u);
  for (size_t i = 1; i < 4; ++i) EXPECT_GT(host_.reports[i].number, host_.reports[i - 1].number);
}

TEST_F(WorkerSessionTest, ReportsAChangeThatOthersWaitForAtOnceAndNoOther) {
  host_.reports.clear();
  session_.Update(At(10), WorkerState::kReady, Experts({2, 3}), ExpertSet());
  ASSERT_EQ(host_.reports.size(), 1u);
  EXPECT_EQ(host_.reports[0].state, WorkerState::kReady);
  EXPECT_EQ(host_.reports[0].holds, Experts({2, 3}));
  session_.Update(At(11), WorkerState::kReady, Experts({2, 3}), ExpertSet());
  session_.UpdateLoad({4, 5, 6, 7});
  session_.UpdateProgress(6, 7);
  EXPECT_EQ(host_.reports.size(), 1u) << "neither a repeat nor a load is urgent";
  EXPECT_EQ(session_.NextWakeup(), At(10) + kReportPeriod);
  session_.OnTick(At(10) + kReportPeriod);
  ASSERT_EQ(host_.reports.size(), 2u);
  EXPECT_EQ(host_.reports[1].load, (AttentionLoad{4, 5, 6, 7}));
  EXPECT_EQ(host_.reports[1].loaded_bytes, 6u);
  EXPECT_EQ(host_.reports[1].wanted_bytes, 7u);
}

TEST_F(WorkerSessionTest, SaysAChangeWithoutALinkWhenTheNextLinkIsUp) {
  session_.OnLinkDown(At(10));
  host_.reports.clear();
  session_.Update(At(11), WorkerState::kReady, Experts({1}), ExpertSet());
  EXPECT_THAT(host_.reports, IsEmpty());
  session_.OnLinkUp(At(90));
  ASSERT_EQ(host_.reports.size(), 1u);
  EXPECT_EQ(host_.reports[0].holds, Experts({1}));
}

TEST_F(WorkerSessionTest, RefusesALowerTermThanItHasSeen) {
  Command command = Numbered(7, 1);
  command.topology = TopologyOf({7, 1});
  command.assigned = Experts({0});
  session_.OnCommand(command, At(10));
  EXPECT_EQ(session_.report().highest_term, 7u);

  Command old = Numbered(6, 999);  // of a coordinator that was replaced
  old.topology = TopologyOf({9, 9});
  old.assigned = Experts({1});
  old.fenced = "by an older coordinator";
  old.incarnation = {6, 1};
  session_.OnCommand(old, At(11));
  EXPECT_THAT(host_.epochs, ElementsAre(Epoch{7, 1}));
  EXPECT_THAT(host_.assigned, ElementsAre(Experts({0})));
  EXPECT_THAT(host_.fences, IsEmpty());
  EXPECT_EQ(session_.report().incarnation, (Incarnation{1, 5}));
  EXPECT_EQ(session_.report().highest_term, 7u);
}

TEST_F(WorkerSessionTest, DropsANumberThatIsNotNewWithinATerm) {
  session_.OnCommand(Numbered(1, 20), At(10));
  for (uint64_t stale : {19, 20}) {
    Command command = Numbered(1, stale);
    command.assigned = Experts({4});
    command.topology = TopologyOf({1, 9});
    session_.OnCommand(command, At(1900));
  }
  EXPECT_THAT(host_.assigned, IsEmpty());
  EXPECT_THAT(host_.epochs, IsEmpty());
  session_.OnTick(At(10) + kLease);
  EXPECT_FALSE(session_.lease_held()) << "a stale command grants no lease";
  session_.OnCommand(Numbered(2, 1), At(3000));
  EXPECT_TRUE(session_.lease_held()) << "numbers start anew with a term";
}

TEST_F(WorkerSessionTest, KeepsTheLeaseAsLongAsCommandsCome) {
  EXPECT_THAT(host_.leases, ElementsAre(true));
  for (int64_t ms = 1500; ms <= 9000; ms += 1500) {
    session_.OnTick(At(ms));
    session_.OnCommand(Next(), At(ms));
  }
  EXPECT_THAT(host_.leases, ElementsAre(true));
  EXPECT_TRUE(session_.lease_held());
}

TEST_F(WorkerSessionTest, LosesTheLeaseWhenItRunsOutAndGetsItBackWithTheNextCommand) {
  session_.OnLinkDown(At(100));
  session_.OnTick(At(1999));
  EXPECT_TRUE(session_.lease_held()) << "a broken link alone is no loss";
  session_.OnTick(At(2000));
  EXPECT_THAT(host_.leases, ElementsAre(true, false));
  session_.OnTick(At(5000));
  EXPECT_EQ(host_.leases.size(), 2u) << "told once";
  session_.OnLinkUp(At(5000));
  EXPECT_FALSE(session_.lease_held()) << "a link alone is no lease";
  session_.OnCommand(Next(), At(5001));
  EXPECT_THAT(host_.leases, ElementsAre(true, false, true));
}

TEST_F(WorkerSessionTest, AsksToBeWokenWhenTheLeaseRunsOut) {
  session_.OnLinkDown(At(0));
  session_.OnTick(session_.NextWakeup());  // dials; nobody answers
  EXPECT_EQ(session_.NextWakeup(), At(0) + kLease);
  session_.OnTick(session_.NextWakeup());
  EXPECT_FALSE(session_.lease_held());
  EXPECT_EQ(session_.NextWakeup(), kNever);
}

TEST_F(WorkerSessionTest, AdoptsNewerTopologiesOnly) {
  for (Epoch epoch : {Epoch{1, 3}, Epoch{1, 2}, Epoch{1, 3}, Epoch{1, 4}}) {
    Command command = Next();
    command.topology = TopologyOf(epoch);
    session_.OnCommand(command, At(10));
  }
  session_.OnCommand(Next(), At(11));  // none: its own is as new
  EXPECT_THAT(host_.epochs, ElementsAre(Epoch{1, 3}, Epoch{1, 4}));
  EXPECT_EQ(session_.report().epoch, (Epoch{1, 4}));
}

TEST_F(WorkerSessionTest, PassesOnWhatIsWantedOnlyWhenItChanges) {
  for (const ExpertSet& wanted : {Experts({1}), Experts({1}), ExpertSet(), Experts({1, 2})}) {
    Command command = Next();
    command.assigned = wanted;
    session_.OnCommand(command, At(10));
  }
  EXPECT_THAT(host_.assigned, ElementsAre(Experts({1}), Experts({1, 2})));
}

TEST_F(WorkerSessionTest, EndsWhenFenced) {
  Command command = Next();
  command.fenced = "a newer life has the name";
  command.assigned = Experts({1});
  session_.OnCommand(command, At(10));
  EXPECT_THAT(host_.fences, ElementsAre("a newer life has the name"));
  EXPECT_THAT(host_.leases, ElementsAre(true, false));
  EXPECT_THAT(host_.assigned, IsEmpty());

  const int connects = host_.connects;
  session_.OnCommand(Numbered(9, 9), At(11));
  session_.OnLinkDown(At(12));
  for (int64_t ms = 12; ms < 10000; ms += 50) session_.OnTick(At(ms));
  EXPECT_EQ(host_.connects, connects);
  EXPECT_THAT(host_.leases, ElementsAre(true, false)) << "nobody gives it another";
  EXPECT_EQ(session_.report().incarnation, (Incarnation{1, 5}));
}

// When the link goes down each time that it is dialled: how long from one dial to the next.
std::vector<int64_t> Waits(WorkerSession& session, RecordingHost& host, int count) {
  std::vector<int64_t> waits;
  int64_t since = 0;
  session.OnLinkDown(At(0));
  int connects = host.connects;
  for (int64_t ms = 0; ms < 60000 && static_cast<int>(waits.size()) < count; ++ms) {
    if (session.NextWakeup() > At(ms)) continue;
    session.OnTick(At(ms));
    if (host.connects == connects) continue;
    connects = host.connects;
    waits.push_back(ms - since);
    since = ms;
    session.OnLinkDown(At(ms));
  }
  return waits;
}

TEST_F(WorkerSessionTest, DialsAgainWithLongerAndLongerWaits) {
  EXPECT_THAT(Waits(session_, host_, 8), ElementsAre(50, 100, 200, 400, 800, 1600, 2000, 2000));
}

TEST_F(WorkerSessionTest, DialsSoonAgainOnceControlHasSpoken) {
  Waits(session_, host_, 6);
  session_.OnLinkUp(At(60000));
  session_.OnCommand(Next(), At(60000));
  session_.OnLinkDown(At(60001));
  EXPECT_EQ(session_.NextWakeup(), At(60051));
}

TEST_F(WorkerSessionTest, ALinkThatNeverCarriesACommandDoesNotShortenTheWait) {
  Waits(session_, host_, 6);
  session_.OnLinkUp(At(60000));
  session_.OnLinkDown(At(60001));
  EXPECT_GE(session_.NextWakeup(), At(62000));
}

TEST_F(WorkerSessionTest, SendsNothingWithoutALink) {
  session_.OnLinkDown(At(10));
  host_.reports.clear();
  for (int64_t ms = 10; ms < 3000; ms += 10) session_.OnTick(At(ms));
  EXPECT_THAT(host_.reports, IsEmpty());
}

}  // namespace
}  // namespace expertmesh
