// `expertmesh inspect`: what a checkpoint is, and what workers would hold of it.
#include <cstdio>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/inspect/report.h"
#include "common/status.h"

namespace expertmesh {
namespace {

class InspectCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand("inspect", "What a checkpoint is, and its size");
    command->add_option("folder", folder_, "checkpoint folder; config.json alone will do")
        ->required();
    command->add_flag("--json", json_, "print one JSON object");
    return command;
  }

  absl::Status Run() override {
    ASSIGN_OR_RETURN(const Inspection inspection, Inspect(folder_));
    std::printf("%s", json_ ? (ToJson(inspection) + "\n").c_str() : ToText(inspection).c_str());
    return absl::OkStatus();
  }

 private:
  std::string folder_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<CliCommand> MakeInspectCommand() { return std::make_unique<InspectCommand>(); }

}  // namespace expertmesh
