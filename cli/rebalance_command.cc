// `expertmesh rebalance`: the load is spread anew.
#include <memory>

#include "cli/fleet/plan_text.h"
#include "cli/operator_command.h"
#include "common/status.h"

namespace expertmesh {
namespace {

class RebalanceCommand final : public OperatorCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand("rebalance", "Spread the load over the workers anew");
    AddOperatorFlags(*command, "RebalanceResponse");
    command->add_flag("--force", force_, "also when placement is frozen: the freeze ends");
    return command;
  }

  absl::Status Run() override {
    Client client(server_);
    ASSIGN_OR_RETURN(const v1::RebalanceResponse response, client.Rebalance(force_));
    return Print(response, PlanText(response.plan()));
  }

 private:
  bool force_ = false;
};

}  // namespace

std::unique_ptr<CliCommand> MakeRebalanceCommand() { return std::make_unique<RebalanceCommand>(); }

}  // namespace expertmesh
