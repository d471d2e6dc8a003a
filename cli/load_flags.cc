#include "cli/load_flags.h"

#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace expertmesh {
namespace {

constexpr int kMaxThreads = 16384;
constexpr double kMaxRate = 1e6, kMaxSeconds = 1e7, kMaxMs = 1e9;
constexpr int64_t kMaxRequests = 1'000'000'000;
constexpr size_t kMaxPoints = 64;

constexpr char kArrival[] = "Arrival", kWork[] = "Work", kRequest[] = "Request",
               kReport[] = "Report";

Duration Seconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1e3));
}

void AddArrivalFlags(CLI::App& app, LoadFlags* flags) {
  auto* how = app.add_option_group(
      "How hard",
      "one of the two; with --sweep --rate says that rates are swept, whatever its value");
  how->add_option("--rate", flags->rate,
                  "open loop: requests per second, in Poisson arrivals. Latencies count from the "
                  "scheduled arrival, not from when it was sent: a server that stalls hides none "
                  "of its delay (no coordinated omission)")
      ->check(CLI::Range(1e-3, kMaxRate));
  how->add_option("--concurrency", flags->concurrency,
                  "closed loop: requests that run at any time; each is sent when one has ended")
      ->check(CLI::Range(1, kMaxThreads));
  how->require_option(0, 1);  // at least one unless --sweep: RunsOf
  app.add_option(
         "--sweep", flags->sweep,
         "repeats the run for each of these concurrencies (with --rate: rates), like 1,2,4,8")
      ->group(kArrival);
  app.add_option("--requests", flags->requests, "requests in all, each turn is one; 0: no bound")
      ->check(CLI::Range(int64_t{0}, kMaxRequests))
      ->group(kArrival);
  app.add_option("--seconds", flags->seconds,
                 "no request begins later; those that run may end; 0: no bound")
      ->check(CLI::Range(0.0, kMaxSeconds))
      ->group(kArrival);
  app.add_option("--warmup", flags->warmup,
                 "requests before each run that are not counted, up to 16 at once")
      ->check(CLI::Range(int64_t{0}, kMaxRequests))
      ->group(kArrival);
  app.add_option("--max-in-flight", flags->max_in_flight,
                 "with --rate: what arrives while so many run is not sent, and reported")
      ->check(CLI::Range(1, kMaxThreads))
      ->group(kArrival);
}

void AddWorkFlags(CLI::App& app, LoadFlags* flags) {
  const CLI::Validator length(
      [](const std::string& text) {
        return std::string(LengthDistribution::Parse(text).status().message());
      },
      "LENGTH");
  WorkloadOptions& work = flags->run.work;
  app.add_option("--prompt-tokens", flags->prompt_tokens,
                 "of the fresh part of each prompt: 128, 64..256 (uniform), or "
                 "lognormal:MEAN:SIGMA:MAX")
      ->check(length)
      ->group(kWork);
  app.add_option("--output-tokens", flags->output_tokens, "of each answer: the same forms")
      ->check(length)
      ->group(kWork);
  app.add_option("--shared-prefix", work.shared_prefix,
                 "tokens before the fresh part that all prompts of a group have in common")
      ->check(CLI::Range(0, kMaxLoadTokens))
      ->group(kWork);
  app.add_option("--prefix-groups", work.prefix_groups, "how many prefixes there are")
      ->check(CLI::Range(1, 1 << 24))
      ->group(kWork);
  app.add_option("--turns", work.turns,
                 "of a conversation: each next prompt is the one before, its answer and a fresh "
                 "part; one after the other. With --rate conversations arrive at RATE / TURNS")
      ->check(CLI::Range(1, 1024))
      ->group(kWork);
  app.add_option("--seed", work.seed, "of arrivals, lengths and tokens")->group(kWork);
  app.add_option("--vocabulary", work.vocabulary, "token ids are drawn below it; 0: ask the server")
      ->check(CLI::Range(0, 1 << 24))
      ->group(kWork);
}

void AddRequestFlags(CLI::App& app, LoadFlags* flags) {
  RequestShape& shape = flags->run.shape;
  app.add_option("--temperature", shape.temperature, "of sampling; 0 is greedy")->group(kRequest);
  app.add_option("--timeout", flags->timeout, "seconds for each request; 0: no limit")
      ->check(CLI::Range(0.0, kMaxSeconds))
      ->group(kRequest);
  app.add_option("--priority", shape.priority, "of each request")
      ->check(CLI::Range(-100, 100))
      ->group(kRequest);
  app.add_option("--cache-salt", flags->cache_salt,
                 "share cached prefixes with requests of this salt; one is drawn otherwise, so "
                 "that a run finds nothing that another has left")
      ->group(kRequest);
  app.add_flag("--distinct-salts", shape.distinct_salts,
               "a salt of its own for each request: none finds anything cached")
      ->group(kRequest);
}

void AddReportFlags(CLI::App& app, LoadFlags* flags) {
  app.add_option("--slo-ttft-ms", flags->slo.ttft_ms,
                 "a request is good if its first token came so soon")
      ->check(CLI::Range(0.0, kMaxMs))
      ->group(kReport);
  app.add_option("--slo-itl-ms", flags->slo.itl_ms,
                 "and if the mean of its inter-token latencies is at most this")
      ->check(CLI::Range(0.0, kMaxMs))
      ->group(kReport);
  app.add_flag("--json", flags->json, "print one JSON object instead of tables")->group(kReport);
  app.add_flag("--records", flags->records, "with --json: the times of each request, too")
      ->group(kReport);
  app.add_option("--plot", flags->plot,
                 "an SVG file to write: latency and throughput against the load of a --sweep, "
                 "or the distribution of one run's latencies")
      ->group(kReport);
  app.add_flag("--progress", flags->progress,
               "a line on stderr as it goes, also where that is no terminal")
      ->group(kReport);
}

absl::StatusOr<std::vector<double>> LevelsOf(const LoadFlags& flags) {
  const bool open = flags.rate > 0;
  if (flags.sweep.empty()) return std::vector<double>{open ? flags.rate : flags.concurrency};
  std::vector<double> levels;
  for (absl::string_view part : absl::StrSplit(flags.sweep, ',')) {
    double value = 0;
    const double low = open ? 1e-3 : 1, high = open ? kMaxRate : kMaxThreads;
    if (!absl::SimpleAtod(part, &value) || !(value >= low && value <= high) ||
        (!open && value != static_cast<int>(value))) {
      return absl::InvalidArgumentError(absl::StrCat("--sweep has \"", part, "\"; each is a ",
                                                     open ? "rate" : "whole number", " from ", low,
                                                     " to ", high));
    }
    levels.push_back(value);
  }
  if (levels.size() > kMaxPoints) {
    return absl::InvalidArgumentError(
        absl::StrCat("--sweep has ", levels.size(), " points; at most ", kMaxPoints));
  }
  return levels;
}

}  // namespace

void AddLoadFlags(CLI::App& app, LoadFlags* flags) {
  app.option_defaults()->always_capture_default();
  app.add_option("--server", flags->server, "a coordinator, e.g. 127.0.0.1:50051")
      ->required()
      ->group("Where");
  AddArrivalFlags(app, flags);
  AddWorkFlags(app, flags);
  AddRequestFlags(app, flags);
  AddReportFlags(app, flags);
  app.callback([flags] {
    const absl::Status status = RunsOf(*flags).status();
    if (!status.ok()) throw CLI::ValidationError(std::string(status.message()));
  });
}

absl::StatusOr<std::vector<RunOptions>> RunsOf(const LoadFlags& flags) {
  if (flags.requests == 0 && flags.seconds == 0) {
    return absl::InvalidArgumentError("--requests and --seconds are both 0; one bounds the run");
  }
  if (flags.rate == 0 && flags.concurrency == 0 && flags.sweep.empty()) {
    return absl::InvalidArgumentError("--rate, --concurrency or --sweep says how hard to press");
  }
  if (flags.records && !flags.json) return absl::InvalidArgumentError("--records needs --json");
  RunOptions run = flags.run;
  run.requests = flags.requests;
  run.time = Seconds(flags.seconds);
  run.max_in_flight = flags.max_in_flight;
  run.shape.timeout = Seconds(flags.timeout);
  run.shape.cache_salt = flags.cache_salt;
  if (flags.cache_salt.empty()) {
    run.shape.cache_salt = absl::StrCat("load-", absl::Hex(std::random_device()()));
  }
  ASSIGN_OR_RETURN(run.work.prompt_tokens, LengthDistribution::Parse(flags.prompt_tokens));
  ASSIGN_OR_RETURN(run.work.output_tokens, LengthDistribution::Parse(flags.output_tokens));
  ASSIGN_OR_RETURN(const std::vector<double> levels, LevelsOf(flags));
  std::vector<RunOptions> runs;
  for (const double level : levels) {
    run.level = {flags.rate > 0, level};
    runs.push_back(run);
    ++run.work.point;
  }
  return runs;
}

nlohmann::ordered_json SettingsToJson(const LoadFlags& flags) {
  const WorkloadOptions& work = flags.run.work;
  const RequestShape& shape = flags.run.shape;
  const auto number = [](const auto& value) {
    return value.has_value() ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
  };
  return {{"server", flags.server},
          {"arrival", flags.rate > 0 ? "open loop, Poisson" : "closed loop"},
          {"sweep", flags.sweep},
          {"requests", flags.requests},
          {"seconds", flags.seconds},
          {"warmup", flags.warmup},
          {"max_in_flight", flags.max_in_flight},
          {"prompt_tokens", flags.prompt_tokens},
          {"output_tokens", flags.output_tokens},
          {"shared_prefix", work.shared_prefix},
          {"prefix_groups", work.prefix_groups},
          {"turns", work.turns},
          {"seed", work.seed},
          {"vocabulary", work.vocabulary},
          {"temperature", number(shape.temperature)},
          {"timeout", flags.timeout},
          {"priority", shape.priority},
          {"cache_salt", flags.cache_salt},
          {"distinct_salts", shape.distinct_salts},
          {"slo_ttft_ms", number(flags.slo.ttft_ms)},
          {"slo_itl_ms", number(flags.slo.itl_ms)}};
}

}  // namespace expertmesh
