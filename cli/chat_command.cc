// `expertmesh chat`: a conversation at the terminal. Ctrl-C ends the answer, Ctrl-D the program.
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/answer.h"
#include "cli/command.h"
#include "cli/generator.h"
#include "cli/interrupt.h"
#include "cli/request_flags.h"
#include "common/log.h"
#include "common/status.h"

namespace expertmesh {
namespace {

class ChatCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand("chat", "A conversation, turn by turn");
    AddGeneratorFlags(*command, &where_);
    command->add_option("--system", system_, "what the model is told first")->group("Prompt");
    AddRequestFlags(*command, &flags_);
    command->add_flag("--json", json_, "print one JSON object per answer")->group("Output");
    return command;
  }

  absl::Status Run() override {
    InterruptHandler interrupts;  // before any thread
    StartLogging("chat", "error");
    ASSIGN_OR_RETURN(auto generator, OpenGenerator(where_));
    ChatPrompt chat;
    if (!system_.empty()) chat.messages.push_back({"system", system_});
    std::string line;
    while (Prompt(line)) {
      if (line.empty()) continue;
      chat.messages.push_back({"user", line});
      ASSIGN_OR_RETURN(UserRequest request, RequestOf(flags_));
      request.prompt = chat;
      interrupts.Set([&] { generator->Interrupt(); });
      Answer answer;
      const absl::Status status = Say(*generator, request, answer);
      interrupts.Set(nullptr);
      if (!status.ok() && !absl::IsCancelled(status)) {
        if (json_) return status;
        std::fprintf(stderr, "%s\n", status.ToString().c_str());
      }
      // What was said stays in the conversation, also if it was cut short; nothing is said twice.
      if (answer.empty()) {
        chat.messages.pop_back();
      } else {
        chat.messages.push_back({"assistant", answer.choices.begin()->second.text});
      }
    }
    return absl::OkStatus();
  }

 private:
  bool Prompt(std::string& line) const {
    if (!json_) {
      std::printf("> ");
      std::fflush(stdout);
    }
    if (std::getline(std::cin, line)) return true;
    if (!json_) std::printf("\n");
    return false;
  }

  absl::Status Say(Generator& generator, const UserRequest& request, Answer& answer) const {
    const absl::Status status = generator.Generate(request, [&](const Delta& delta) {
      answer.Add(delta);
      if (!json_) PrintLive(delta, answer);
    });
    if (json_ && status.ok()) std::printf("%s\n", ToJson(answer).c_str());
    if (!json_) std::printf("\n");
    std::fflush(stdout);
    return status;
  }

  GeneratorFlags where_;
  RequestFlags flags_;
  std::string system_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<CliCommand> MakeChatCommand() { return std::make_unique<ChatCommand>(); }

}  // namespace expertmesh
