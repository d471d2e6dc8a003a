// `expertmesh generate`: one prompt, on a running fleet or in this process.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/answer.h"
#include "cli/command.h"
#include "cli/embedded/embedded_cluster.h"
#include "client/client.h"
#include "common/log.h"
#include "common/status.h"

namespace expertmesh {
namespace {

struct Flags {
  std::string model, server, token_ids, stop_token_ids, dtype = "stored", isa = "auto";
  int max_tokens = 0, top_logprobs = 0, threads = 0, expert_workers = 1;
  double temperature = 0, timeout = 0, wait = 0;
  bool prompt_logprobs = false, ignore_eos = false, json = false;
};

absl::StatusOr<std::vector<int32_t>> ParseIds(absl::string_view flag, const std::string& text) {
  std::vector<int32_t> ids;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    int32_t id = 0;
    if (!absl::SimpleAtoi(part, &id)) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " has \"", part, "\"; it is a list of ids like 1,2,3"));
    }
    ids.push_back(id);
  }
  return ids;
}

class GenerateCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override;
  absl::Status Run() override;

 private:
  absl::StatusOr<GenerateRequest> MakeRequest() const;
  absl::Status OnServer(GenerateRequest request, const std::function<void(const Delta&)>& on_delta);
  absl::Status Embedded(GenerateRequest request,
                        const std::function<void(const Delta&)>& on_delta) const;

  Flags flags_;
};

CLI::App* GenerateCommand::Declare(CLI::App& app) {
  CLI::App* command = app.add_subcommand("generate", "Generate from a prompt of token ids");
  auto* where = command->add_option_group("where", "exactly one");
  CLI::Option* server = where->add_option("--server", flags_.server,
                                          "address of a coordinator, e.g. 127.0.0.1:50051");
  CLI::Option* model = where->add_option("--model", flags_.model,
                                         "checkpoint folder: run all roles in this process");
  where->require_option(1);
  command->add_option("--token-ids", flags_.token_ids, "the prompt: ids like 1,2,3")->required();
  command->add_option("--max-tokens", flags_.max_tokens, "most output tokens")->required();
  command->add_option("--temperature", flags_.temperature, "0 is greedy, and all there is so far")
      ->capture_default_str();
  command->add_option("--stop-token-ids", flags_.stop_token_ids, "ids that end the output");
  command->add_flag("--ignore-eos", flags_.ignore_eos, "the model's own end does not end it");
  command->add_option("--top-logprobs", flags_.top_logprobs, "most likely ids per output position")
      ->capture_default_str();
  command->add_flag("--prompt-logprobs", flags_.prompt_logprobs, "logprobs of the prompt's tokens");
  command->add_flag("--json", flags_.json, "print one JSON object");
  command->add_option("--timeout", flags_.timeout, "seconds for the whole answer; 0: no limit")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--wait", flags_.wait,
                   "with --server: seconds to wait for the fleet to be whole first")
      ->check(CLI::NonNegativeNumber)
      ->needs(server);
  command->add_option("--dtype", flags_.dtype, "with --model: weights as stored, or widened to f32")
      ->check(CLI::IsMember({"stored", "f32"}))
      ->needs(model);
  command->add_option("--threads", flags_.threads, "with --model: compute threads; 0: all cores")
      ->check(CLI::Range(0, 1024))
      ->needs(model);
  command->add_option("--expert-workers", flags_.expert_workers, "with --model: how many")
      ->check(CLI::Range(1, 64))
      ->needs(model);
  command->add_option("--isa", flags_.isa, "with --model: auto, scalar, avx2 or avx512")
      ->needs(model);
  return command;
}

absl::StatusOr<GenerateRequest> GenerateCommand::MakeRequest() const {
  if (flags_.temperature != 0) {
    return absl::InvalidArgumentError(absl::StrCat("--temperature is ", flags_.temperature,
                                                   "; only 0 (greedy) is there in this version"));
  }
  GenerateRequest request;
  ASSIGN_OR_RETURN(request.prompt, ParseIds("--token-ids", flags_.token_ids));
  ASSIGN_OR_RETURN(request.stop_token_ids, ParseIds("--stop-token-ids", flags_.stop_token_ids));
  request.max_tokens = flags_.max_tokens;
  request.ignore_eos = flags_.ignore_eos;
  request.logprobs = true;
  request.top_logprobs = flags_.top_logprobs;
  request.prompt_logprobs = flags_.prompt_logprobs;
  if (flags_.timeout > 0) {
    request.deadline =
        Now() + std::chrono::milliseconds(static_cast<int64_t>(flags_.timeout * 1e3));
  }
  return request;
}

absl::Status GenerateCommand::OnServer(GenerateRequest request,
                                       const std::function<void(const Delta&)>& on_delta) {
  Client client(flags_.server);
  if (flags_.wait > 0) {
    RETURN_IF_ERROR(
        client.WaitUntilWhole(std::chrono::milliseconds(static_cast<int64_t>(flags_.wait * 1e3))));
  }
  return client.Generate(request, on_delta);
}

absl::Status GenerateCommand::Embedded(GenerateRequest request,
                                       const std::function<void(const Delta&)>& on_delta) const {
  EmbeddedOptions options;
  options.expert_workers = flags_.expert_workers;
  const int cores = std::max(1u, std::thread::hardware_concurrency());
  options.attention.threads = options.expert.threads = flags_.threads > 0 ? flags_.threads : cores;
  options.attention.model_folder = options.expert.model_folder = flags_.model;
  options.attention.widen = options.expert.widen = flags_.dtype == "f32";
  options.attention.isa = options.expert.isa = flags_.isa;
  // One sequence: the context that it needs, and a cache for that.
  const int64_t context = static_cast<int64_t>(request.prompt.size()) + request.max_tokens;
  options.attention.max_context = static_cast<int32_t>(std::clamp<int64_t>(context, 64, 1 << 20));
  options.attention.cache_tokens = options.attention.max_context;
  ASSIGN_OR_RETURN(auto cluster, EmbeddedCluster::Start(options));
  RETURN_IF_ERROR(cluster->WaitUntilWhole(std::chrono::hours(1)));
  return cluster->Generate(std::move(request), on_delta);
}

absl::Status GenerateCommand::Run() {
  StartLogging("generate", "error");
  ASSIGN_OR_RETURN(GenerateRequest request, MakeRequest());
  Answer answer;
  answer.prompt_logprobs_asked = flags_.prompt_logprobs;
  const auto on_delta = [&](const Delta& delta) {
    answer.Add(delta);
    if (flags_.json) return;
    for (const OutputToken& token : delta.tokens) std::printf("%d ", token.id);
    std::fflush(stdout);
  };
  const absl::Status status = flags_.model.empty() ? OnServer(std::move(request), on_delta)
                                                   : Embedded(std::move(request), on_delta);
  if (!flags_.json && !answer.tokens.empty()) std::printf("\n");
  RETURN_IF_ERROR(status);
  if (flags_.json) std::printf("%s\n", ToJson(answer).c_str());
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<CliCommand> MakeGenerateCommand() { return std::make_unique<GenerateCommand>(); }

}  // namespace expertmesh
