// report.h: what a run at one load comes to, out of its records.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/load/record.h"
#include "cli/load/summary.h"

namespace expertmesh {

// What a request must meet to count as good; nullopt: anything does.
struct Slo {
  std::optional<double> ttft_ms;
  std::optional<double> itl_ms;  // the mean of the request's gaps
};

struct Failures {
  int64_t count = 0;
  std::string example;  // the text of the first
};

// Latencies and tokens are of requests that ended well.
struct LoadReport {
  LoadLevel level;
  int64_t ok = 0, failed = 0, not_sent = 0;
  std::map<std::string, Failures> failures;  // by the code's name
  double duration_s = 0;
  int64_t input_tokens = 0, output_tokens = 0, cached_tokens = 0;
  Summary ttft_ms, e2e_ms;
  Summary itl_ms;         // of each gap between two tokens of one stream
  Summary send_delay_ms;  // from when a request was to begin until the generator sent it
  bool slo_asked = false;
  int64_t good = 0;  // of all requests, also those that failed or were not sent
  bool interrupted = false;

  double PerSecond(int64_t count) const { return duration_s > 0 ? count / duration_s : 0; }
  int64_t requests() const { return ok + failed + not_sent; }
};

LoadReport MakeReport(const RunResult& run, const Slo& slo);

// The single values, in ms, that the summaries are of.
struct Latencies {
  std::vector<double> ttft_ms, itl_ms, e2e_ms;
};
Latencies LatenciesOf(const RunResult& run);

}  // namespace expertmesh
