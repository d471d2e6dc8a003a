#include "tests/chaos/stall_events.h"

#include <signal.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh::chaos {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);
constexpr Duration kTrouble = std::chrono::seconds(5);  // of what is stopped or unplugged
constexpr Duration kLook = Milliseconds(20);

absl::Status WaitUntil(const std::string& what,
                       const std::function<bool(const v1::GetTopologyResponse&)>& holds,
                       Fleet& fleet) {
  for (const Time until = Now() + kPatience; Now() < until; std::this_thread::sleep_for(kLook)) {
    const absl::StatusOr<v1::GetTopologyResponse> now = fleet.client().GetTopology();
    if (now.ok() && holds(*now)) return absl::OkStatus();
  }
  return absl::DeadlineExceededError(absl::StrCat("not in a minute: ", what));
}

const v1::WorkerListing* Find(const v1::GetTopologyResponse& fleet, const std::string& name) {
  for (const v1::WorkerListing& worker : fleet.workers()) {
    if (worker.name() == name) return &worker;
  }
  return nullptr;
}

bool IsReady(const v1::GetTopologyResponse& fleet, const std::string& name) {
  const v1::WorkerListing* worker = Find(fleet, name);
  return worker != nullptr && worker->state() == v1::WORKER_STATE_READY;
}

// Every expert worker gets every expert, so that each loss is one of replicas.
absl::Status ReplicateAll(Fleet& fleet) {
  ASSIGN_OR_RETURN(const v1::GetTopologyResponse now, fleet.client().GetTopology());
  v1::ExpertSet all;
  for (const v1::WorkerListing& worker : now.workers()) {
    if (worker.role() != v1::WORKER_ROLE_EXPERT) continue;
    const std::string& bits = worker.holds().bits();
    if (!all.has_grid()) all = worker.holds();
    for (size_t i = 0; i < bits.size(); ++i) (*all.mutable_bits())[i] |= bits[i];
  }
  for (const v1::WorkerListing& worker : now.workers()) {
    if (worker.role() != v1::WORKER_ROLE_EXPERT) continue;
    v1::SetWorkerOrdersRequest orders;
    orders.set_name(worker.name());
    *orders.mutable_pinned() = all;
    RETURN_IF_ERROR(fleet.client().SetWorkerOrders(orders).status());
  }
  return WaitUntil(
      "replicas of all",
      [](const v1::GetTopologyResponse& later) {
        for (const v1::WorkerListing& worker : later.workers()) {
          if (worker.role() == v1::WORKER_ROLE_EXPERT &&
              worker.fault_margin() != v1::FAULT_MARGIN_REPLICA) {
            return false;
          }
        }
        return !later.moving();
      },
      fleet);
}

absl::Status KillAll(Fleet& fleet, const std::vector<std::string>& names) {
  for (const std::string& name : names) fleet.Signal(name, SIGKILL);
  for (const std::string& name : names) fleet.Kill(name);
  return absl::OkStatus();
}

// Newcomers that have their share when it returns.
absl::Status Join(Fleet& fleet, const std::vector<std::string>& names) {
  for (const std::string& name : names) RETURN_IF_ERROR(fleet.StartOne(name));
  const auto there = [&](const v1::GetTopologyResponse& now) {
    for (const std::string& name : names) {
      const v1::WorkerListing* worker = Find(now, name);
      if (worker == nullptr || worker->state() == v1::WORKER_STATE_LOST ||
          worker->state() == v1::WORKER_STATE_GONE) {
        return false;
      }
    }
    return true;
  };
  RETURN_IF_ERROR(WaitUntil("the newcomers join", there, fleet));
  RETURN_IF_ERROR(fleet.client().Rebalance().status());
  return WaitUntil(
      "the newcomers serve",
      [&](const v1::GetTopologyResponse& now) {
        for (const std::string& name : names) {
          if (!IsReady(now, name)) return false;
        }
        return !now.moving();
      },
      fleet);
}

absl::Status Leave(Fleet& fleet, const std::vector<std::string>& names) {
  for (const std::string& name : names) fleet.Drain(name);
  for (const Time until = Now() + kPatience; Now() < until; std::this_thread::sleep_for(kLook)) {
    for (const std::string& fault : fleet.Reap()) return absl::InternalError(fault);
    bool left = true;
    for (const std::string& name : names) left = left && !fleet.known(name);
    if (left) return absl::OkStatus();
  }
  return absl::DeadlineExceededError("the leaving workers do not end");
}

absl::Status DrainEach(Fleet& fleet) {
  for (const char* name : {"e1", "e2", "e3", "e4", "a1", "a2"}) {
    RETURN_IF_ERROR(Leave(fleet, {name}));
    if (name[0] == 'e') {
      RETURN_IF_ERROR(Join(fleet, {name}));
      continue;
    }
    RETURN_IF_ERROR(fleet.StartOne(name));
    RETURN_IF_ERROR(WaitUntil(
        "it is back", [&](const auto& now) { return IsReady(now, name); }, fleet));
  }
  return absl::OkStatus();
}

absl::Status Scale(Fleet& fleet) {
  RETURN_IF_ERROR(Join(fleet, {"e2", "e3", "e4"}));
  RETURN_IF_ERROR(Leave(fleet, {"e3", "e4"}));
  return Join(fleet, {"e3", "e4", "e5", "e6"});
}

absl::Status Stop(Fleet& fleet) {
  fleet.Signal("e2", SIGSTOP);
  std::this_thread::sleep_for(kTrouble);  // the pause is the event itself
  fleet.Signal("e2", SIGCONT);
  return absl::OkStatus();
}

absl::Status Cut(Net& net) {
  RETURN_IF_ERROR(net.SetCable("e2", false));
  std::this_thread::sleep_for(kTrouble);
  return net.SetCable("e2", true);
}

absl::Status RestartCoordinator(Fleet& fleet) {
  fleet.Kill(kCoordinator);
  return fleet.StartOne(kCoordinator);
}

}  // namespace

const std::vector<StallEvent>& StallEvents() {
  static const auto* const events = new std::vector<StallEvent>{
      {"kill-replica", "kill -9 of an expert worker, all replicated", 4, false, ReplicateAll,
       [](Fleet& fleet, Net&) { return KillAll(fleet, {"e2"}); }},
      {"kill", "kill -9 of an expert worker, no replicas", 4, false, nullptr,
       [](Fleet& fleet, Net&) { return KillAll(fleet, {"e2"}); }},
      {"kill-two", "kill -9 of two of four expert workers at once", 4, false, nullptr,
       [](Fleet& fleet, Net&) {
         return KillAll(fleet, {"e1", "e3"});
       }},
      {"stop-replica", "SIGSTOP of an expert worker for 5 s, all replicated", 4, false,
       ReplicateAll, [](Fleet& fleet, Net&) { return Stop(fleet); }},
      {"stop", "SIGSTOP of an expert worker for 5 s, no replicas", 4, false, nullptr,
       [](Fleet& fleet, Net&) { return Stop(fleet); }},
      {"cut", "an expert worker's link down for 5 s", 4, true, nullptr,
       [](Fleet&, Net& net) { return Cut(net); }},
      {"kill-attention", "kill -9 of one of two attention workers", 4, false, nullptr,
       [](Fleet& fleet, Net&) { return KillAll(fleet, {"a1"}); }},
      {"coordinator", "kill -9 of the coordinator, started again at once", 4, false, nullptr,
       [](Fleet& fleet, Net&) { return RestartCoordinator(fleet); }},
      {"drain", "each worker drained in turn, and started again", 4, false, nullptr,
       [](Fleet& fleet, Net&) { return DrainEach(fleet); }},
      {"join", "two more expert workers join, the load is spread anew", 4, false, nullptr,
       [](Fleet& fleet, Net&) {
         return Join(fleet, {"e5", "e6"});
       }},
      {"scale", "1, 4, 2, 6 expert workers", 1, false, nullptr,
       [](Fleet& fleet, Net&) { return Scale(fleet); }},
  };
  return *events;
}

}  // namespace expertmesh::chaos
