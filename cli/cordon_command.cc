// `expertmesh cordon`: a worker gets no experts that it does not have.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/operator_command.h"
#include "common/status.h"

namespace expertmesh {
namespace {

class CordonCommand final : public OperatorCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command =
        app.add_subcommand("cordon", "Have a worker get no experts that it does not have");
    command->add_option("worker", worker_, "its name; it may be one that is yet to come")
        ->required();
    AddOperatorFlags(*command, "SetWorkerOrdersResponse");
    command->add_flag("--undo", undo_, "it may get experts again");
    return command;
  }

  absl::Status Run() override {
    Client client(server_);
    v1::SetWorkerOrdersRequest request;
    request.set_name(worker_);
    request.set_cordoned(!undo_);
    ASSIGN_OR_RETURN(const v1::SetWorkerOrdersResponse response, client.SetWorkerOrders(request));
    return Print(response, absl::StrCat(worker_, undo_ ? " may get experts" : " is cordoned",
                                        UnknownNote(response), "\n"));
  }

 private:
  std::string worker_;
  bool undo_ = false;
};

}  // namespace

std::unique_ptr<CliCommand> MakeCordonCommand() { return std::make_unique<CordonCommand>(); }

}  // namespace expertmesh
