// `expertmesh render`: what a checkpoint's chat template makes of a conversation.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/command.h"
#include "cli/default_model.h"
#include "cli/read_text.h"
#include "common/status.h"
#include "model/chat/chat_template.h"
#include "model/chat/json_value.h"

namespace expertmesh {
namespace {

class RenderCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand("render", "What the chat template makes of messages");
    AddModelFlag(*command, &model_, "checkpoint folder");
    command
        ->add_option("--messages", messages_,
                     "a JSON file: a list of {\"role\": ..., \"content\": ...}; - is standard "
                     "input")
        ->required();
    command->add_flag("--no-generation-prompt", open_end_,
                      "do not end where the assistant speaks next");
    command->add_flag("--json", json_, "print one JSON object");
    return command;
  }

  absl::Status Run() override {
    ASSIGN_OR_RETURN(const ChatTemplate chat, ChatTemplate::Open(model_));
    ASSIGN_OR_RETURN(const std::string file, ReadText("--messages", messages_));
    absl::StatusOr<jinja::Value> messages = ParseJsonValue(file);
    if (!messages.ok()) return Annotate(messages.status(), messages_);
    ASSIGN_OR_RETURN(const std::string text,
                     chat.Render(*messages, {.add_generation_prompt = !open_end_}));
    if (json_) {
      std::printf("%s\n", nlohmann::ordered_json{{"text", text}}.dump().c_str());
    } else {
      std::fwrite(text.data(), 1, text.size(), stdout);
    }
    return absl::OkStatus();
  }

 private:
  std::string model_, messages_;
  bool open_end_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<CliCommand> MakeRenderCommand() { return std::make_unique<RenderCommand>(); }

}  // namespace expertmesh
