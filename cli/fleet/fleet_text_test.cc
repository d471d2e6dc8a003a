#include "cli/fleet/fleet_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/fleet/live_text.h"

namespace expertmesh {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// An attention worker, an expert worker that serves, one that loads and one that is LOST.
v1::GetTopologyResponse SomeFleet() {
  v1::GetTopologyResponse fleet;
  fleet.mutable_topology()->mutable_epoch()->set_term(2);
  fleet.mutable_topology()->mutable_epoch()->set_counter(7);
  fleet.mutable_topology()->mutable_model()->set_name("tiny");
  fleet.set_rounds(3);
  v1::WorkerListing* a1 = fleet.add_workers();
  a1->set_name("a1");
  a1->set_role(v1::WORKER_ROLE_ATTENTION);
  a1->set_state(v1::WORKER_STATE_READY);
  a1->set_running_sequences(2);
  for (const char* name : {"e1", "e2", "e3"}) {
    v1::WorkerListing* worker = fleet.add_workers();
    worker->set_name(name);
    worker->set_role(v1::WORKER_ROLE_EXPERT);
    worker->set_state(v1::WORKER_STATE_READY);
    worker->set_fault_margin(v1::FAULT_MARGIN_SPARE_MEMORY);
    worker->set_holds_experts(24);
    worker->set_assigned_experts(24);
    worker->set_holds_text("layers 1-3: experts 0-7");
  }
  v1::WorkerListing* e2 = fleet.mutable_workers(2);
  e2->set_assigned_experts(30);
  e2->set_loading_experts(6);
  e2->set_loading_text("layer 1: experts 8-13");
  e2->set_loaded_bytes(250);
  e2->set_wanted_bytes(1000);
  fleet.mutable_workers(3)->set_state(v1::WORKER_STATE_LOST);
  fleet.mutable_workers(3)->clear_fault_margin();
  return fleet;
}

TEST(FleetText, HasALineForEachWorkerAndWhetherTheFleetIsWhole) {
  v1::GetTopologyResponse fleet = SomeFleet();
  std::string text = FleetText(fleet);
  EXPECT_THAT(text, HasSubstr("epoch 2.7, model tiny\n"));
  EXPECT_THAT(text, HasSubstr("2 running, 0 waiting; cache:"));
  EXPECT_THAT(text, HasSubstr("24 of 24 experts: layers 1-3: experts 0-7\n"));
  EXPECT_THAT(text, HasSubstr("24 of 30 experts: layers 1-3: experts 0-7; loads layer 1: experts "
                              "8-13 [#####---------------] 250 B of 1.00 kB\n"));
  EXPECT_THAT(text, HasSubstr("spare memory"));
  EXPECT_THAT(text, Not(HasSubstr("frozen")));
  EXPECT_THAT(text, testing::EndsWith("whole: every expert is covered\n"));
  fleet.set_missing("no attention worker is READY");
  fleet.set_frozen("5 workers");
  fleet.set_moving(true);
  text = FleetText(fleet);
  EXPECT_THAT(text, HasSubstr("experts are moved: round 3\nfrozen: control waits for 5 workers\n"));
  EXPECT_THAT(text, testing::EndsWith("not whole: no attention worker is READY\n"));
}

TEST(FleetText, SpellsOrdersAndMargins) {
  v1::WorkerOrders orders;
  EXPECT_EQ(OrdersText(orders), "-");
  orders.set_drain(true);
  orders.set_cordoned(true);
  orders.set_pinned_experts(12);
  EXPECT_EQ(OrdersText(orders), "cordoned, drain, 12 pinned");
  v1::WorkerListing worker;
  EXPECT_EQ(MarginText(worker), "-");
  worker.set_fault_margin(v1::FAULT_MARGIN_REPLICA);
  EXPECT_EQ(MarginText(worker), "replica");
  worker.set_fault_margin(v1::FAULT_MARGIN_NONE);
  EXPECT_EQ(MarginText(worker), "none");
}

TEST(FleetText, ProgressIsABarUntilItIsDone) {
  v1::WorkerListing worker;
  EXPECT_EQ(ProgressText(worker), "");
  worker.set_wanted_bytes(100);
  EXPECT_EQ(ProgressText(worker), "[--------------------] 0 B of 100 B");
  worker.set_loaded_bytes(99);
  EXPECT_THAT(ProgressText(worker), HasSubstr("###-] 99 B of 100 B"));
  worker.set_loaded_bytes(1000);
  EXPECT_EQ(ProgressText(worker), "");
}

TEST(FleetText, SaysWhatKeepsAWorkerFromLeaving) {
  v1::GetTopologyResponse fleet = SomeFleet();
  EXPECT_FALSE(HasLeft(fleet, "e1"));
  EXPECT_TRUE(HasLeft(fleet, "nobody"));
  v1::PlanPlacementResponse plan;
  plan.mutable_plan()->add_unsolved("nobody has room for 3 of its experts");
  fleet.mutable_workers(1)->set_state(v1::WORKER_STATE_DRAINING);
  fleet.mutable_workers(1)->set_alone_experts(3);
  EXPECT_EQ(WhatKeeps(fleet, "e1", plan),
            "e1 is DRAINING; it holds 24 experts; 3 of them nobody else has; nobody has room for 3 "
            "of its experts");
  plan.set_held_up("control waits for 5 workers");
  EXPECT_THAT(WhatKeeps(fleet, "a1", plan),
              HasSubstr("it has 2 sequences that run and 0 that wait; control waits for 5"));
  fleet.mutable_workers(1)->set_state(v1::WORKER_STATE_GONE);
  EXPECT_TRUE(HasLeft(fleet, "e1"));
}

TEST(LiveScreen, FitsTheTerminal) {
  const std::string text = LiveScreen(SomeFleet(), 200, 50);
  EXPECT_THAT(text, HasSubstr("epoch 2.7, whole; 3 rounds\n"));
  EXPECT_THAT(text, HasSubstr("loads 6 [#####---------------] 250 B of 1.00 kB\n"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6);
  const std::string small = LiveScreen(SomeFleet(), 30, 3);
  EXPECT_EQ(std::count(small.begin(), small.end(), '\n'), 3);
  EXPECT_THAT(small, testing::EndsWith("\n... 4 more lines\n"));
  size_t column = 0;
  for (const char c : small) {
    column = c == '\n' ? 0 : column + 1;
    EXPECT_LE(column, 30u);
  }
}

TEST(LiveLines, TellsWhatHasChangedAndNothingElse) {
  LiveLines lines;
  v1::GetTopologyResponse fleet = SomeFleet();
  EXPECT_THAT(lines.ChangesTo(fleet), HasSubstr("e1  READY  -  24  spare memory\n"));
  EXPECT_EQ(lines.ChangesTo(fleet), "");
  fleet.mutable_workers(0)->set_running_sequences(9);
  EXPECT_EQ(lines.ChangesTo(fleet), "") << "how busy it is";
  fleet.mutable_workers(2)->set_loaded_bytes(500);
  EXPECT_EQ(lines.ChangesTo(fleet),
            "e2  READY  -  24  spare memory  loads 6 [##########----------] 500 B of 1.00 kB\n");
  fleet.mutable_workers(1)->set_retiring_experts(4);
  fleet.mutable_workers()->DeleteSubrange(3, 1);
  fleet.mutable_topology()->mutable_epoch()->set_counter(8);
  EXPECT_EQ(lines.ChangesTo(fleet),
            "epoch 2.8, whole; 3 rounds\ne1  READY  -  24  spare memory  retires 4\n"
            "e3  is forgotten\n");
}

}  // namespace
}  // namespace expertmesh
