// generation_metrics.h: what the front door counts of its users' calls. docs/operations.md lists
// the names and what each says.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "rpc/call_watch.h"

namespace expertmesh {

// Threads: any.
class GenerationMetrics {
 public:
  // The metrics stay in `registry`, which outlives this.
  explicit GenerationMetrics(prometheus::Registry* registry);

  // For one call that generates; `method` is the rpc's name. Must not outlive this.
  std::unique_ptr<CallWatch> Watch(absl::string_view method);
  // A call has ended.
  void Count(absl::string_view method, const absl::Status& status);

 private:
  struct Watcher;

  prometheus::Family<prometheus::Counter>& calls_;
  prometheus::Gauge& running_;
  prometheus::Counter& prompt_tokens_;
  prometheus::Counter& cached_tokens_;
  prometheus::Counter& output_tokens_;
  prometheus::Histogram& first_token_;
  prometheus::Histogram& between_tokens_;
  prometheus::Histogram& whole_call_;
};

}  // namespace expertmesh
