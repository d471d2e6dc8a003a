// `expertmesh thaw`: ends a freeze of placement.
#include <memory>

#include "cli/operator_command.h"
#include "common/status.h"

namespace expertmesh {
namespace {

class ThawCommand final : public OperatorCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand(
        "thaw", "Have placement go on with the workers that are left, after many vanished");
    AddOperatorFlags(*command, "ThawResponse");
    return command;
  }

  absl::Status Run() override {
    Client client(server_);
    ASSIGN_OR_RETURN(const v1::ThawResponse response, client.Thaw());
    return Print(response, response.was_frozen() ? "placement goes on\n" : "nothing was frozen\n");
  }
};

}  // namespace

std::unique_ptr<CliCommand> MakeThawCommand() { return std::make_unique<ThawCommand>(); }

}  // namespace expertmesh
