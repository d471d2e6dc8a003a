// `expertmesh`: the command line for users and operators. One file a command.
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "cli/command.h"

namespace expertmesh {
namespace {

int Main(int argc, char** argv) {
  CLI::App app("Expertmesh: DeepSeek-V2-class models with the experts on workers of their own");
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, std::unique_ptr<CliCommand>>> commands;
  for (auto* make : {MakeGenerateCommand, MakeChatCommand, MakeEmbedCommand, MakeClassifyCommand,
                     MakeServeCommand, MakeTopologyCommand, MakePlanCommand, MakeRebalanceCommand,
                     MakeDrainCommand, MakeCordonCommand, MakePinCommand, MakeThawCommand,
                     MakeScaleCommand, MakeTokenizeCommand, MakeRenderCommand, MakeInspectCommand,
                     MakeLoadCommand, MakeEvaluateCommand, MakeVersionCommand}) {
    std::unique_ptr<CliCommand> command = make();
    CLI::App* declared = command->Declare(app);
    commands.emplace_back(declared, std::move(command));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (auto& [declared, command] : commands) {
    if (!declared->parsed()) continue;
    const absl::Status status = command->Run();
    if (status.ok()) return 0;
    std::fprintf(stderr, "expertmesh %s: %s: %s\n", declared->get_name().c_str(),
                 absl::StatusCodeToString(status.code()).c_str(),
                 std::string(status.message()).c_str());
    return 1;
  }
  return 2;
}

}  // namespace
}  // namespace expertmesh

int main(int argc, char** argv) { return expertmesh::Main(argc, argv); }
