// `expertmesh tokenize`: text to token ids, by a checkpoint's tokenizer.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/command.h"
#include "cli/default_model.h"
#include "cli/read_text.h"
#include "common/status.h"
#include "model/tokenizer/tokenizer.h"

namespace expertmesh {
namespace {

class TokenizeCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand("tokenize", "Text to token ids");
    AddModelFlag(*command, &model_, "checkpoint folder");
    auto* text = command->add_option_group("Text", "exactly one");
    text->add_option("--text", text_, "the text");
    text->add_option("--text-file", text_file_, "a file of text; - is standard input");
    text->require_option(1);
    command->add_flag("--no-special-tokens", plain_,
                      "without the beginning and end tokens that a prompt gets");
    command->add_flag("--json", json_, "print one JSON object");
    return command;
  }

  absl::Status Run() override {
    ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::Open(model_));
    if (!text_file_.empty()) {
      ASSIGN_OR_RETURN(text_, ReadText("--text-file", text_file_));
    }
    ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                     plain_ ? tokenizer->EncodeChat(text_) : tokenizer->Encode(text_));
    if (json_) {
      std::printf("%s\n", nlohmann::ordered_json{{"token_ids", ids}}.dump().c_str());
      return absl::OkStatus();
    }
    for (size_t i = 0; i < ids.size(); ++i) std::printf(i == 0 ? "%d" : ",%d", ids[i]);
    std::printf("\n");
    return absl::OkStatus();
  }

 private:
  std::string model_, text_, text_file_;
  bool plain_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<CliCommand> MakeTokenizeCommand() { return std::make_unique<TokenizeCommand>(); }

}  // namespace expertmesh
