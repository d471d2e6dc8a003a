// `expertmesh generate`: one prompt, on a running fleet or in this process.
#include <cstdio>
#include <memory>
#include <string>

#include "cli/answer.h"
#include "cli/command.h"
#include "cli/generator.h"
#include "cli/read_text.h"
#include "cli/request_flags.h"
#include "common/log.h"
#include "common/status.h"

namespace expertmesh {
namespace {

class GenerateCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override;
  absl::Status Run() override;

 private:
  absl::Status ReadPrompt(UserRequest& request) const;

  GeneratorFlags where_;
  RequestFlags flags_;
  std::string prompt_, prompt_file_, token_ids_;
  CLI::Option* ids_ = nullptr;
  bool json_ = false;
};

CLI::App* GenerateCommand::Declare(CLI::App& app) {
  CLI::App* command = app.add_subcommand("generate", "Go on with a prompt");
  AddGeneratorFlags(*command, &where_);
  auto* prompt = command->add_option_group("Prompt", "exactly one");
  prompt->add_option("--prompt", prompt_, "text");
  prompt->add_option("--prompt-file", prompt_file_, "a file of text; - is standard input");
  ids_ = prompt->add_option("--token-ids", token_ids_, "ids like 1,2,3, taken as they are");
  prompt->require_option(1);
  AddRequestFlags(*command, &flags_);
  command->add_flag("--json", json_, "print one JSON object when all is done")->group("Output");
  return command;
}

absl::Status GenerateCommand::ReadPrompt(UserRequest& request) const {
  if (ids_->count() > 0) {
    ASSIGN_OR_RETURN(request.prompt, ParseIds("--token-ids", token_ids_));
    return absl::OkStatus();
  }
  if (prompt_file_.empty()) {
    request.prompt = prompt_;
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(request.prompt, ReadText("--prompt-file", prompt_file_));
  return absl::OkStatus();
}

absl::Status GenerateCommand::Run() {
  StartLogging("generate", "error");
  ASSIGN_OR_RETURN(UserRequest request, RequestOf(flags_));
  RETURN_IF_ERROR(ReadPrompt(request));
  ASSIGN_OR_RETURN(auto generator, OpenGenerator(where_));
  Answer answer;
  answer.prompt_logprobs_asked = flags_.prompt_logprobs;
  const bool live = !json_ && flags_.sampling.n.value_or(1) == 1;
  const absl::Status status = generator->Generate(request, [&](const Delta& delta) {
    answer.Add(delta);
    if (live) PrintLive(delta, answer);
  });
  if (live && !answer.empty()) std::printf("\n");
  RETURN_IF_ERROR(status);
  if (json_) {
    std::printf("%s\n", ToJson(answer).c_str());
  } else if (!live) {
    PrintChoices(answer);
  }
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<CliCommand> MakeGenerateCommand() { return std::make_unique<GenerateCommand>(); }

}  // namespace expertmesh
