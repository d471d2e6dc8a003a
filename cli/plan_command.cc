// `expertmesh plan`: what would be moved now, and what that would cost.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/fleet/plan_text.h"
#include "cli/operator_command.h"
#include "common/status.h"

namespace expertmesh {
namespace {

class PlanCommand final : public OperatorCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command =
        app.add_subcommand("plan", "What would be moved now: a dry run, nothing changes");
    AddOperatorFlags(*command, "PlanPlacementResponse");
    command->add_flag("--balance", balance_,
                      "what rebalance would do; without it, what covers all experts and carries "
                      "out the orders");
    command->add_option("--drain", drain_, "as if these workers were to be drained: a,b,c")
        ->delimiter(',');
    return command;
  }

  absl::Status Run() override {
    Client client(server_);
    v1::PlanPlacementRequest request;
    request.set_balance(balance_);
    for (const std::string& name : drain_) request.add_drain(name);
    ASSIGN_OR_RETURN(const v1::PlanPlacementResponse response, client.PlanPlacement(request));
    std::string text = PlanText(response.plan());
    if (response.has_held_up()) {
      absl::StrAppend(&text, "not carried out now: ", response.held_up(), "\n");
    }
    return Print(response, text);
  }

 private:
  bool balance_ = false;
  std::vector<std::string> drain_;
};

}  // namespace

std::unique_ptr<CliCommand> MakePlanCommand() { return std::make_unique<PlanCommand>(); }

}  // namespace expertmesh
