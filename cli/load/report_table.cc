#include "cli/load/report_table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/text/table.h"

namespace expertmesh {
namespace {

constexpr TableStyle kStyle{.right = true};

std::string Number(double value) { return absl::StrFormat("%.*f", value < 100 ? 2 : 1, value); }

std::string Ms(const Summary& summary, double value) {
  return summary.count == 0 ? "-" : Number(value);
}

std::string FailuresText(const LoadReport& report) {
  std::string text;
  for (const auto& [code, failures] : report.failures) {
    absl::StrAppend(&text, ToString(report.level), ": ", failures.count, " failed with ", code,
                    ", the first: ", failures.example, "\n");
  }
  if (report.not_sent > 0) {
    absl::StrAppend(&text, ToString(report.level), ": ", report.not_sent,
                    " not sent: --max-in-flight ran already, or an earlier turn had failed\n");
  }
  if (report.interrupted) absl::StrAppend(&text, ToString(report.level), ": interrupted\n");
  return text;
}

TableRow LatencyRow(const char* name, const Summary& s) {
  return {name,         Ms(s, s.mean), Ms(s, s.p50), Ms(s, s.p90),
          Ms(s, s.p95), Ms(s, s.p99),  Ms(s, s.max)};
}

std::string CachedShare(const LoadReport& report) {
  const double all = static_cast<double>(std::max<int64_t>(report.input_tokens, 1));
  return absl::StrFormat("%.1f%%", 100 * report.cached_tokens / all);
}

}  // namespace

std::string ToString(const LoadLevel& level) {
  return level.open ? absl::StrFormat("%g requests/s", level.value)
                    : absl::StrFormat("%g at once", level.value);
}

std::string ReportTable(const LoadReport& report) {
  const auto tokens = [&](int64_t count) {
    return absl::StrCat(count, ", ", Number(report.PerSecond(count)), "/s");
  };
  std::vector<TableRow> lines = {
      {"load", ToString(report.level)},
      {"requests ok", absl::StrCat(report.ok)},
      {"requests failed", absl::StrCat(report.failed)},
      {"duration", Number(report.duration_s) + " s"},
      {"request throughput", Number(report.PerSecond(report.ok)) + "/s"},
      {"input tokens", tokens(report.input_tokens)},
      {"output tokens", tokens(report.output_tokens)},
      {"input found cached", CachedShare(report)},
  };
  if (report.slo_asked) {
    const double all = static_cast<double>(std::max<int64_t>(report.requests(), 1));
    lines.push_back(
        {"goodput", absl::StrFormat("%s/s, %.1f%% of all", Number(report.PerSecond(report.good)),
                                    100 * report.good / all)});
  }
  return absl::StrCat(Table(lines, kStyle), "\n",
                      Table({{"ms", "mean", "p50", "p90", "p95", "p99", "max"},
                             LatencyRow("TTFT", report.ttft_ms),
                             LatencyRow("ITL", report.itl_ms),
                             LatencyRow("E2E", report.e2e_ms),
                             LatencyRow("sent late by", report.send_delay_ms)},
                            kStyle),
                      report.failures.empty() ? "" : "\n", FailuresText(report));
}

std::string SweepTable(const std::vector<LoadReport>& reports) {
  std::vector<TableRow> rows = {{"load", "ok", "failed", "req/s", "in tok/s", "out tok/s", "cached",
                                 "TTFT p50", "p99", "ITL p50", "p99", "E2E p50", "p99 ms"}};
  if (reports.front().slo_asked) rows.front().push_back("good/s");
  std::string failures;
  for (const LoadReport& r : reports) {
    TableRow row = {ToString(r.level),
                    absl::StrCat(r.ok),
                    absl::StrCat(r.failed + r.not_sent),
                    Number(r.PerSecond(r.ok)),
                    Number(r.PerSecond(r.input_tokens)),
                    Number(r.PerSecond(r.output_tokens)),
                    CachedShare(r)};
    for (const Summary* summary : {&r.ttft_ms, &r.itl_ms, &r.e2e_ms}) {
      row.push_back(Ms(*summary, summary->p50));
      row.push_back(Ms(*summary, summary->p99));
    }
    if (r.slo_asked) row.push_back(Number(r.PerSecond(r.good)));
    rows.push_back(std::move(row));
    failures += FailuresText(r);
  }
  return absl::StrCat(Table(rows, kStyle), failures.empty() ? "" : "\n", failures);
}

}  // namespace expertmesh
