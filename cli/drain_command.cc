// `expertmesh drain`: a worker hands over what it has, and exits.
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cli/fleet/fleet_text.h"
#include "cli/operator_command.h"
#include "common/status.h"

namespace expertmesh {
namespace {

constexpr std::chrono::milliseconds kPollPeriod{100};

class DrainCommand final : public OperatorCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command =
        app.add_subcommand("drain", "Have a worker hand over what it has, and exit");
    command->add_option("worker", worker_, "its name")->required();
    AddOperatorFlags(*command, "SetWorkerOrdersResponse");
    CLI::Option* wait =
        command->add_option("--wait", wait_, "seconds to wait until it is GONE; 0: none")
            ->check(CLI::Range(0.0, 1e7));
    command->add_flag("--undo", undo_, "call it off")->excludes(wait);
    return command;
  }

  absl::Status Run() override {
    Client client(server_);
    v1::SetWorkerOrdersResponse response;
    if (!undo_) {
      // A name that is mistyped would wait for a worker to come, and send that away.
      ASSIGN_OR_RETURN(const v1::GetTopologyResponse fleet, client.GetTopology());
      const v1::WorkerListing* worker = FindWorker(fleet, worker_);
      if (worker == nullptr) {
        return absl::NotFoundError(absl::StrCat("no worker ", worker_, " is known"));
      }
      if (worker->state() == v1::WORKER_STATE_GONE) {
        response.set_state(worker->state());
        return Print(response, absl::StrCat(worker_, " is GONE already\n"));
      }
    }
    v1::SetWorkerOrdersRequest request;
    request.set_name(worker_);
    request.set_drain(!undo_);
    ASSIGN_OR_RETURN(response, client.SetWorkerOrders(request));
    if (undo_) return Print(response, absl::StrCat(worker_, " stays", UnknownNote(response), "\n"));
    if (wait_ == 0) return Print(response, WhatFollows(client));
    RETURN_IF_ERROR(WaitUntilGone(client));
    response.set_state(v1::WORKER_STATE_GONE);
    return Print(response, absl::StrCat(worker_, " is GONE\n"));
  }

 private:
  // What the plan says of it, as of now.
  std::string WhatFollows(Client& client) const {
    std::string text = absl::StrCat(worker_, " hands over what it has, and exits\n");
    const auto plan = client.PlanPlacement({});
    if (!plan.ok()) return text;
    if (plan->has_held_up()) absl::StrAppend(&text, "not yet: ", plan->held_up(), "\n");
    for (const std::string& unsolved : plan->plan().unsolved()) {
      absl::StrAppend(&text, "unsolved: ", unsolved, "\n");
    }
    return text;
  }

  absl::Status WaitUntilGone(Client& client) const {
    const Time until = Now() + std::chrono::milliseconds(static_cast<int64_t>(wait_ * 1e3));
    for (;;) {
      ASSIGN_OR_RETURN(const v1::GetTopologyResponse fleet, client.GetTopology());
      if (HasLeft(fleet, worker_)) return absl::OkStatus();
      if (Now() >= until) {
        ASSIGN_OR_RETURN(const v1::PlanPlacementResponse plan, client.PlanPlacement({}));
        return absl::DeadlineExceededError(
            absl::StrCat(WhatKeeps(fleet, worker_, plan), " (the order stands)"));
      }
      std::this_thread::sleep_for(kPollPeriod);
    }
  }

  std::string worker_;
  double wait_ = 0;
  bool undo_ = false;
};

}  // namespace

std::unique_ptr<CliCommand> MakeDrainCommand() { return std::make_unique<DrainCommand>(); }

}  // namespace expertmesh
