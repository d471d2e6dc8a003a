#include "cli/load/report.h"

namespace expertmesh {
namespace {

// A request that ended well has made a token; one that says otherwise is no measurement.
bool IsOk(const RequestRecord& record) { return record.status.ok() && !record.tokens.empty(); }

bool IsGood(const RequestRecord& record, const Slo& slo) {
  return (!slo.ttft_ms.has_value() || record.TtftMs() <= *slo.ttft_ms) &&
         (!slo.itl_ms.has_value() || record.MeanItlMs() <= *slo.itl_ms);
}

void AddFailure(const RequestRecord& record, LoadReport& report) {
  ++report.failed;
  const bool empty = record.status.ok();
  Failures& failures = report.failures[absl::StatusCodeToString(empty ? absl::StatusCode::kInternal
                                                                      : record.status.code())];
  if (failures.count++ == 0) {
    failures.example = empty ? "no token came" : std::string(record.status.message());
  }
}

}  // namespace

Latencies LatenciesOf(const RunResult& run) {
  Latencies latencies;
  for (const RequestRecord& record : run.records) {
    if (!IsOk(record)) continue;
    latencies.ttft_ms.push_back(record.TtftMs());
    latencies.e2e_ms.push_back(record.E2eMs());
    for (size_t i = 1; i < record.tokens.size(); ++i) {
      latencies.itl_ms.push_back(ToMs(record.tokens[i] - record.tokens[i - 1]));
    }
  }
  return latencies;
}

LoadReport MakeReport(const RunResult& run, const Slo& slo) {
  LoadReport report;
  report.level = run.level;
  report.not_sent = run.not_sent;
  report.duration_s = ToMs(run.duration) / 1e3;
  report.slo_asked = slo.ttft_ms.has_value() || slo.itl_ms.has_value();
  report.interrupted = run.interrupted;
  std::vector<double> delays;
  for (const RequestRecord& record : run.records) {
    delays.push_back(ToMs(record.sent - record.scheduled));
    if (!IsOk(record)) {
      AddFailure(record, report);
      continue;
    }
    ++report.ok;
    report.good += IsGood(record, slo) ? 1 : 0;
    report.input_tokens += record.prompt_tokens;
    report.cached_tokens += record.cached_tokens;
    report.output_tokens += static_cast<int64_t>(record.tokens.size());
  }
  Latencies latencies = LatenciesOf(run);
  report.ttft_ms = Summarize(std::move(latencies.ttft_ms));
  report.itl_ms = Summarize(std::move(latencies.itl_ms));
  report.e2e_ms = Summarize(std::move(latencies.e2e_ms));
  report.send_delay_ms = Summarize(std::move(delays));
  return report;
}

}  // namespace expertmesh
