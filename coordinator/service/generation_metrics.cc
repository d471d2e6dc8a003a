#include "coordinator/service/generation_metrics.h"

#include <map>

#include "common/clock.h"
#include "common/version.h"

namespace expertmesh {
namespace {

using Bounds = prometheus::Histogram::BucketBoundaries;

// In seconds. A step of a small model takes a millisecond, a long prompt minutes.
const Bounds kFirstToken = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                            0.5,   1,      2.5,   5,    10,    25,   50,  100};
const Bounds kBetweenTokens = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                               0.1,    0.25,  0.5,    1,     2.5,  5,     10};
const Bounds kWholeCall = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,   2.5,
                           5,    10,    25,   50,  100,  250, 500, 1000};

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

prometheus::Counter& NewCounter(prometheus::Registry& registry, const char* name,
                                const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

prometheus::Histogram& NewHistogram(prometheus::Registry& registry, const char* name,
                                    const char* help, const Bounds& bounds) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, bounds);
}

}  // namespace

GenerationMetrics::GenerationMetrics(prometheus::Registry* registry)
    : calls_(prometheus::BuildCounter()
                 .Name("expertmesh_requests_total")
                 .Help("Calls of the Generation service that have ended, by method and code")
                 .Register(*registry)),
      running_(prometheus::BuildGauge()
                   .Name("expertmesh_requests_running")
                   .Help("Calls that generate, waiting ones included")
                   .Register(*registry)
                   .Add({})),
      prompt_tokens_(NewCounter(*registry, "expertmesh_prompt_tokens_total",
                                "Tokens of the prompts of calls that have begun to answer")),
      cached_tokens_(
          NewCounter(*registry, "expertmesh_cached_tokens_total",
                     "Tokens of prompts that were there already, counted for each choice")),
      output_tokens_(
          NewCounter(*registry, "expertmesh_output_tokens_total", "Tokens made, of all choices")),
      first_token_(NewHistogram(*registry, "expertmesh_time_to_first_token_seconds",
                                "From a call's begin to its first token", kFirstToken)),
      between_tokens_(NewHistogram(*registry, "expertmesh_inter_token_latency_seconds",
                                   "From each token of a choice to its next", kBetweenTokens)),
      whole_call_(NewHistogram(*registry, "expertmesh_request_duration_seconds",
                               "From begin to end of calls that generate and end with OK",
                               kWholeCall)) {
  prometheus::BuildGauge()
      .Name("expertmesh_build_info")
      .Help("1, with the program's version")
      .Register(*registry)
      .Add({{"version", Version()}})
      .Set(1);
}

struct GenerationMetrics::Watcher final : CallWatch {
  Watcher(GenerationMetrics* metrics, absl::string_view method) : metrics(metrics), method(method) {
    metrics->running_.Increment();
  }

  void OnPiece(const Delta& piece) override {
    if (piece.opening.has_value()) metrics->prompt_tokens_.Increment(piece.opening->prompt_tokens);
    if (piece.finish != FinishReason::kNone) {
      metrics->cached_tokens_.Increment(piece.usage.cached_tokens);
    }
    if (piece.tokens.empty()) return;
    const size_t tokens = piece.tokens.size();
    metrics->output_tokens_.Increment(static_cast<double>(tokens));
    const Time now = Now();
    if (last.empty()) metrics->first_token_.Observe(Seconds(now - begin));
    const auto [before, is_first] = last.try_emplace(piece.choice, now);
    if (is_first) return;
    // Tokens that come together came evenly, as far as can be known.
    const double gap = Seconds(now - before->second) / static_cast<double>(tokens);
    for (size_t i = 0; i < tokens; ++i) metrics->between_tokens_.Observe(gap);
    before->second = now;
  }
  void OnEnd(const absl::Status& status) override {
    metrics->running_.Decrement();
    if (status.ok()) metrics->whole_call_.Observe(Seconds(Now() - begin));
    metrics->Count(method, status);
  }

  GenerationMetrics* const metrics;
  const std::string method;
  const Time begin = Now();
  std::map<int32_t, Time> last;  // token of each choice
};

std::unique_ptr<CallWatch> GenerationMetrics::Watch(absl::string_view method) {
  return std::make_unique<Watcher>(this, method);
}

void GenerationMetrics::Count(absl::string_view method, const absl::Status& status) {
  calls_.Add({{"method", std::string(method)}, {"code", absl::StatusCodeToString(status.code())}})
      .Increment();
}

}  // namespace expertmesh
