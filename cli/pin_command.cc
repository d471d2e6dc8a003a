// `expertmesh pin`: a worker keeps or gets certain experts.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/fleet/expert_list.h"
#include "cli/operator_command.h"
#include "common/status.h"
#include "rpc/convert_fleet.h"

namespace expertmesh {
namespace {

class PinCommand final : public OperatorCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand("pin", "Have a worker keep or get certain experts");
    command->add_option("worker", worker_, "its name; it may be one that is yet to come")
        ->required();
    AddOperatorFlags(*command, "SetWorkerOrdersResponse");
    auto* which = command->add_option_group("Which", "exactly one of --experts and --undo");
    which->add_option("--experts", experts_,
                      "LAYER:EXPERT, each a number or a range, e.g. 3:0-15,4:7; they replace "
                      "those that were pinned to it before");
    which->add_flag("--undo", undo_, "no experts are pinned to it");
    which->require_option(1);
    return command;
  }

  absl::Status Run() override {
    Client client(server_);
    v1::SetWorkerOrdersRequest request;
    request.set_name(worker_);
    request.mutable_pinned();
    if (!undo_) {
      ASSIGN_OR_RETURN(const ExpertGrid grid, GridOf(client));
      absl::StatusOr<ExpertSet> experts = ParseExpertList(experts_, grid);
      if (!experts.ok()) return Annotate(experts.status(), "--experts");
      *request.mutable_pinned() = ToProto(*experts);
    }
    ASSIGN_OR_RETURN(const v1::SetWorkerOrdersResponse response, client.SetWorkerOrders(request));
    const v1::WorkerOrders& orders = response.orders();
    return Print(response, orders.pinned_experts() == 0
                               ? absl::StrCat("nothing is pinned to ", worker_, "\n")
                               : absl::StrCat("pinned to ", worker_, ": ", orders.pinned_text(),
                                              UnknownNote(response), "\n"));
  }

 private:
  // The model's: what layers and experts there are.
  static absl::StatusOr<ExpertGrid> GridOf(Client& client) {
    ASSIGN_OR_RETURN(const v1::GetTopologyResponse fleet, client.GetTopology());
    if (fleet.workers().empty()) {
      return absl::FailedPreconditionError("no worker has joined: the model is not known");
    }
    const bool published = fleet.topology().model().has_grid();
    ASSIGN_OR_RETURN(const ModelIdentity model,
                     FromProto(published ? fleet.topology().model() : fleet.workers(0).model()));
    return model.grid;
  }

  std::string worker_, experts_;
  bool undo_ = false;
};

}  // namespace

std::unique_ptr<CliCommand> MakePinCommand() { return std::make_unique<PinCommand>(); }

}  // namespace expertmesh
