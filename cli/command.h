// command.h: what a command of `expertmesh` is: its flags, and what it does.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/status/status.h"

namespace expertmesh {

class CliCommand {
 public:
  virtual ~CliCommand() = default;
  // Adds the subcommand and its flags to `app`; returns it.
  virtual CLI::App* Declare(CLI::App& app) = 0;
  // Runs it. An error is printed by main, and makes the exit code 1.
  virtual absl::Status Run() = 0;
};

std::unique_ptr<CliCommand> MakeGenerateCommand();
std::unique_ptr<CliCommand> MakeChatCommand();
std::unique_ptr<CliCommand> MakeEmbedCommand();
std::unique_ptr<CliCommand> MakeClassifyCommand();
std::unique_ptr<CliCommand> MakeTokenizeCommand();
std::unique_ptr<CliCommand> MakeRenderCommand();
std::unique_ptr<CliCommand> MakeInspectCommand();
std::unique_ptr<CliCommand> MakeServeCommand();
std::unique_ptr<CliCommand> MakeTopologyCommand();
std::unique_ptr<CliCommand> MakeDrainCommand();
std::unique_ptr<CliCommand> MakeCordonCommand();
std::unique_ptr<CliCommand> MakePinCommand();
std::unique_ptr<CliCommand> MakeRebalanceCommand();
std::unique_ptr<CliCommand> MakeThawCommand();
std::unique_ptr<CliCommand> MakePlanCommand();
std::unique_ptr<CliCommand> MakeScaleCommand();
std::unique_ptr<CliCommand> MakeLoadCommand();
std::unique_ptr<CliCommand> MakeEvaluateCommand();
std::unique_ptr<CliCommand> MakeVersionCommand();

}  // namespace expertmesh
