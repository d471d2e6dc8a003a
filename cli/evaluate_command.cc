// `expertmesh evaluate`: how well a model foretells a text: bits per byte, by prompt logprobs.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/default_model.h"
#include "cli/generator.h"
#include "cli/read_text.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/status.h"
#include "model/tokenizer/tokenizer.h"

namespace expertmesh {
namespace {

// Tokens [begin, end) of the text are asked about, after a beginning-of-sequence token; those from
// `first` on count.
struct Window {
  size_t begin = 0;
  size_t first = 0;
  size_t end = 0;
};

// Every token counts once. A window has `context` tokens, the one before the text's among them, and
// begins `overlap` tokens before the first that counts; the first window has no more than there is.
std::vector<Window> WindowsOf(size_t tokens, size_t context, size_t overlap) {
  std::vector<Window> windows;
  for (size_t first = 0; first < tokens;) {
    const size_t begin = first - std::min(first, overlap);
    const size_t end = std::min(tokens, begin + context - 1);
    windows.push_back({begin, first, end});
    first = end;
  }
  return windows;
}

struct Score {
  double nats = 0;
  size_t tokens = 0;
};

class EvaluateCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override;
  absl::Status Run() override;

 private:
  absl::Status ScoreWindow(Generator& generator, int32_t bos, const std::vector<int32_t>& ids,
                           const Window& window);
  void ShowProgress(size_t done, size_t all, Time start);

  GeneratorFlags where_;
  std::string text_file_;
  size_t context_ = 1024, overlap_ = 256;
  bool json_ = false, progress_ = false;
  Score score_;
  Time next_progress_{};
};

CLI::App* EvaluateCommand::Declare(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("evaluate", "How well a model foretells a text: bits per byte");
  AddModelFlag(*command, &where_.model, "checkpoint folder: the model and its tokenizer")
      ->group("Where");
  command
      ->add_option("--server", where_.server,
                   "a coordinator that serves this model; else all roles run in this process")
      ->group("Where");
  command->add_option("--dtype", where_.dtype, "weights as stored, or widened to f32")
      ->check(CLI::IsMember({"stored", "f32"}))
      ->capture_default_str()
      ->group("Where");
  command->add_option("--threads", where_.threads, "compute threads; 0: one for each core")
      ->check(CLI::Range(0, 4096))
      ->group("Where");
  command->add_option("--text", text_file_, "a file of text; - is standard input")
      ->required()
      ->group("Text");
  command->add_option("--context", context_, "tokens that are asked about at once")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str()
      ->group("Text");
  command
      ->add_option(
          "--overlap", overlap_,
          "of them, those that were counted already: what each token has before it at least")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str()
      ->group("Text");
  command->add_flag("--json", json_, "print one JSON object")->group("Output");
  command->add_flag("--progress", progress_, "show progress, also where stderr is no terminal")
      ->group("Output");
  return command;
}

absl::Status EvaluateCommand::Run() {
  StartLogging("evaluate", "error");
  if (overlap_ + 2 > context_) {
    return absl::InvalidArgumentError(
        absl::StrCat("--overlap is ", overlap_, " and --context ", context_,
                     "; a window has two tokens more than it overlaps"));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadText("--text", text_file_));
  ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::Open(where_.model));
  ASSIGN_OR_RETURN(const std::vector<int32_t> bos, tokenizer->Encode(""));
  if (bos.empty()) {
    return absl::FailedPreconditionError(
        "the tokenizer adds no beginning-of-sequence token, which the first token comes after");
  }
  ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer->EncodeChat(text));
  if (ids.empty()) return absl::InvalidArgumentError("--text: there is no text");
  where_.max_context = static_cast<int>(context_) + 1;
  ASSIGN_OR_RETURN(auto generator, OpenGenerator(where_));
  const std::vector<Window> windows = WindowsOf(ids.size(), context_, overlap_);
  progress_ = progress_ || isatty(STDERR_FILENO) != 0;
  const Time start = Now();
  for (size_t i = 0; i < windows.size(); ++i) {
    RETURN_IF_ERROR(ScoreWindow(*generator, bos.front(), ids, windows[i]));
    ShowProgress(i + 1, windows.size(), start);
  }
  const double bits = score_.nats / std::log(2.0);
  const double per_byte = bits / static_cast<double>(text.size());
  const double perplexity = std::exp(score_.nats / static_cast<double>(score_.tokens));
  if (json_) {
    const nlohmann::ordered_json json = {{"bits_per_byte", per_byte}, {"perplexity", perplexity},
                                         {"bytes", text.size()},      {"tokens", score_.tokens},
                                         {"context", context_},       {"overlap", overlap_}};
    std::printf("%s\n", json.dump().c_str());
  } else {
    std::printf("%.4f bits per byte; perplexity %.3f; %zu bytes, %zu tokens\n", per_byte,
                perplexity, text.size(), score_.tokens);
  }
  return absl::OkStatus();
}

absl::Status EvaluateCommand::ScoreWindow(Generator& generator, int32_t bos,
                                          const std::vector<int32_t>& ids, const Window& window) {
  std::vector<int32_t> prompt = {bos};
  prompt.insert(prompt.end(), ids.begin() + static_cast<ptrdiff_t>(window.begin),
                ids.begin() + static_cast<ptrdiff_t>(window.end));
  UserRequest request;
  request.prompt = std::move(prompt);
  request.prompt_logprobs = true;
  request.max_tokens = 1;
  request.sampling.temperature = 0.0f;
  std::vector<float> logprobs;  // of ids[window.begin] and those after it
  RETURN_IF_ERROR(generator.Generate(request, [&](const Delta& delta) {
    logprobs.insert(logprobs.end(), delta.prompt_logprobs.begin(), delta.prompt_logprobs.end());
  }));
  for (size_t i = window.first - window.begin; i < logprobs.size(); ++i) {
    score_.nats -= logprobs[i];
    ++score_.tokens;
  }
  return absl::OkStatus();
}

void EvaluateCommand::ShowProgress(size_t done, size_t all, Time start) {
  constexpr Duration kPeriod = std::chrono::milliseconds(200);
  constexpr size_t kWidth = 30;
  if (!progress_ || (Now() < next_progress_ && done < all)) return;
  next_progress_ = Now() + kPeriod;
  const double seconds = std::chrono::duration<double>(Now() - start).count();
  const double left = seconds / static_cast<double>(done) * static_cast<double>(all - done);
  std::string bar(kWidth * done / all, '#');
  bar.resize(kWidth, '.');
  std::fprintf(stderr, "\r[%s] %zu of %zu windows, %.0f s left %s", bar.c_str(), done, all, left,
               done == all ? "\n" : "");
  std::fflush(stderr);
}

}  // namespace

std::unique_ptr<CliCommand> MakeEvaluateCommand() { return std::make_unique<EvaluateCommand>(); }

}  // namespace expertmesh
