// `expertmesh embed` and `expertmesh classify`: what a model says of a prompt, without going on.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/generator.h"
#include "cli/read_text.h"
#include "cli/request_flags.h"
#include "common/log.h"
#include "common/status.h"

namespace expertmesh {
namespace {

using Json = nlohmann::ordered_json;

// What both commands ask of, and where.
struct PromptFlags {
  GeneratorFlags where;
  std::string text, text_file, token_ids;
  CLI::Option* ids = nullptr;
  bool json = false;
};

void AddPromptFlags(CLI::App& app, PromptFlags* flags) {
  AddGeneratorFlags(app, &flags->where);
  auto* prompt = app.add_option_group("Prompt", "exactly one");
  prompt->add_option("--text", flags->text, "text");
  prompt->add_option("--text-file", flags->text_file, "a file of text; - is standard input");
  flags->ids =
      prompt->add_option("--token-ids", flags->token_ids, "ids like 1,2,3, taken as they are");
  prompt->require_option(1);
  app.add_flag("--json", flags->json, "print one JSON object")->group("Output");
}

// The whole answer.
absl::StatusOr<Delta> Ask(const PromptFlags& flags, UserRequest request) {
  if (flags.ids->count() > 0) {
    ASSIGN_OR_RETURN(request.prompt, ParseIds("--token-ids", flags.token_ids));
  } else if (!flags.text_file.empty()) {
    ASSIGN_OR_RETURN(request.prompt, ReadText("--text-file", flags.text_file));
  } else {
    request.prompt = flags.text;
  }
  ASSIGN_OR_RETURN(auto generator, OpenGenerator(flags.where));
  Delta answer;
  RETURN_IF_ERROR(generator->Generate(request, [&](const Delta& piece) {
    answer.values.insert(answer.values.end(), piece.values.begin(), piece.values.end());
    if (piece.finish == FinishReason::kNone) return;
    answer.label = piece.label;
    answer.usage = piece.usage;
  }));
  return answer;
}

void Print(Json json, const Usage& usage) {
  json["usage"] = {{"prompt_tokens", usage.prompt_tokens}, {"cached_tokens", usage.cached_tokens}};
  std::printf("%s\n", json.dump().c_str());
}

class EmbedCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand("embed", "The final hidden states of a prompt");
    AddPromptFlags(*command, &flags_);
    command
        ->add_option("--pooling", pooling_,
                     "which: the last position's, their mean, or all positions'")
        ->check(CLI::IsMember({"last", "mean", "all"}))
        ->capture_default_str()
        ->group("Output");
    command->add_flag("--normalize", normalise_, "scale each to length 1")->group("Output");
    return command;
  }

  absl::Status Run() override {
    StartLogging("embed", "error");
    UserRequest request;
    request.pooling = pooling_ == "all"    ? Pooling::kAll
                      : pooling_ == "mean" ? Pooling::kMean
                                           : Pooling::kLast;
    request.normalise = normalise_;
    ASSIGN_OR_RETURN(const Delta answer, Ask(flags_, request));
    const size_t rows = pooling_ == "all" ? answer.usage.prompt_tokens : 1;
    const size_t width = answer.values.size() / std::max<size_t>(1, rows);
    std::vector<std::vector<float>> states;
    for (size_t row = 0; row < rows; ++row) {
      const auto begin = answer.values.begin() + static_cast<ptrdiff_t>(row * width);
      states.emplace_back(begin, begin + static_cast<ptrdiff_t>(width));
    }
    if (flags_.json) {
      Json json;
      if (pooling_ == "all") {
        json["embeddings"] = states;
      } else {
        json["embedding"] = states[0];
      }
      Print(std::move(json), answer.usage);
      return absl::OkStatus();
    }
    for (const std::vector<float>& state : states) {
      for (size_t i = 0; i < state.size(); ++i) std::printf(i == 0 ? "%.6g" : " %.6g", state[i]);
      std::printf("\n");
    }
    return absl::OkStatus();
  }

 private:
  PromptFlags flags_;
  std::string pooling_ = "last";
  bool normalise_ = false;
};

class ClassifyCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand("classify", "A classifier's logits of a prompt");
    AddPromptFlags(*command, &flags_);
    return command;
  }

  absl::Status Run() override {
    StartLogging("classify", "error");
    UserRequest request;
    request.pooling = Pooling::kClasses;
    ASSIGN_OR_RETURN(const Delta answer, Ask(flags_, request));
    const auto best = std::max_element(answer.values.begin(), answer.values.end());
    if (flags_.json) {
      Print({{"logits", answer.values},
             {"best", best - answer.values.begin()},
             {"label", answer.label}},
            answer.usage);
      return absl::OkStatus();
    }
    std::printf("%s\n", answer.label.c_str());
    for (size_t i = 0; i < answer.values.size(); ++i) {
      std::printf("  %zu: %.6g\n", i, answer.values[i]);
    }
    return absl::OkStatus();
  }

 private:
  PromptFlags flags_;
};

}  // namespace

std::unique_ptr<CliCommand> MakeEmbedCommand() { return std::make_unique<EmbedCommand>(); }
std::unique_ptr<CliCommand> MakeClassifyCommand() { return std::make_unique<ClassifyCommand>(); }

}  // namespace expertmesh
