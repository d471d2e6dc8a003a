#include "cli/load/report_json.h"

namespace expertmesh {
namespace {

using nlohmann::ordered_json;

ordered_json JsonOf(const Summary& summary) {
  if (summary.count == 0) return nullptr;
  return {{"count", summary.count}, {"mean", summary.mean}, {"p50", summary.p50},
          {"p90", summary.p90},     {"p95", summary.p95},   {"p99", summary.p99},
          {"max", summary.max}};
}

ordered_json RequestsOf(const LoadReport& report) {
  ordered_json by_code = ordered_json::object();
  for (const auto& [code, failures] : report.failures) {
    by_code[code] = {{"count", failures.count}, {"example", failures.example}};
  }
  return {{"ok", report.ok},
          {"failed", report.failed},
          {"failed_by_code", std::move(by_code)},
          {"not_sent", report.not_sent}};
}

ordered_json GoodputOf(const LoadReport& report) {
  if (!report.slo_asked) return nullptr;
  const double all = static_cast<double>(report.requests());
  return {{"requests", report.good},
          {"requests_per_s", report.PerSecond(report.good)},
          {"share", all > 0 ? report.good / all : 0}};
}

}  // namespace

ordered_json ToJson(const LoadReport& report) {
  const double input = static_cast<double>(report.input_tokens);
  const LoadLevel& level = report.level;
  return {{level.open ? "rate_per_s" : "concurrency",
           level.open ? ordered_json(level.value) : ordered_json(static_cast<int>(level.value))},
          {"interrupted", report.interrupted},
          {"requests", RequestsOf(report)},
          {"duration_s", report.duration_s},
          {"requests_per_s", report.PerSecond(report.ok)},
          {"input_tokens", report.input_tokens},
          {"output_tokens", report.output_tokens},
          {"cached_tokens", report.cached_tokens},
          {"cached_share", input > 0 ? report.cached_tokens / input : 0},
          {"input_tokens_per_s", report.PerSecond(report.input_tokens)},
          {"output_tokens_per_s", report.PerSecond(report.output_tokens)},
          {"ttft_ms", JsonOf(report.ttft_ms)},
          {"itl_ms", JsonOf(report.itl_ms)},
          {"e2e_ms", JsonOf(report.e2e_ms)},
          {"send_delay_ms", JsonOf(report.send_delay_ms)},
          {"goodput", GoodputOf(report)}};
}

ordered_json RecordsToJson(const RunResult& run) {
  ordered_json records = ordered_json::array();
  for (const RequestRecord& record : run.records) {
    ordered_json json = {{"code", absl::StatusCodeToString(record.status.code())},
                         {"prompt_tokens", record.prompt_tokens},
                         {"cached_tokens", record.cached_tokens},
                         {"output_tokens", record.tokens.size()}};
    const bool any = !record.tokens.empty();
    json["ttft_ms"] = any ? ordered_json(record.TtftMs()) : ordered_json();
    json["mean_itl_ms"] = any ? ordered_json(record.MeanItlMs()) : ordered_json();
    json["e2e_ms"] = any ? ordered_json(record.E2eMs()) : ordered_json();
    records.push_back(std::move(json));
  }
  return records;
}

}  // namespace expertmesh
