// `expertmesh scale`: more or fewer expert workers in `expertmesh serve`.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/operator_command.h"
#include "common/status.h"

namespace expertmesh {
namespace {

class ScaleCommand final : public OperatorCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand(
        "scale", "Start or drain expert workers of a fleet that `expertmesh serve` runs");
    AddOperatorFlags(*command, "ScaleResponse");
    command->add_option("--experts", experts_, "how many expert workers there are to be")
        ->required()
        ->check(CLI::Range(1, 64));
    return command;
  }

  absl::Status Run() override {
    Client client(server_);
    ASSIGN_OR_RETURN(const v1::ScaleResponse response, client.Scale(experts_));
    std::string text;
    if (!response.started().empty()) {
      absl::StrAppend(&text, "started: ", absl::StrJoin(response.started(), ", "), "\n");
    }
    if (!response.drained().empty()) {
      absl::StrAppend(&text, "hand over what they have: ", absl::StrJoin(response.drained(), ", "),
                      "\n");
    }
    if (text.empty()) text = absl::StrCat("there are ", experts_, " already\n");
    return Print(response, text);
  }

 private:
  int experts_ = 1;
};

}  // namespace

std::unique_ptr<CliCommand> MakeScaleCommand() { return std::make_unique<ScaleCommand>(); }

}  // namespace expertmesh
