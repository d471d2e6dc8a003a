// report.h: what a worker tells control, and what control answers.
//
// Both are LEVEL-TRIGGERED: each carries the whole state that its receiver needs, not a change to
// it. Losing one costs a period, repeating one costs nothing, and an older one is known by its
// number and dropped.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/topology.h"
#include "common/clock.h"

namespace expertmesh {

// What an attention worker has to do at the moment.
struct AttentionLoad {
  uint32_t running_sequences = 0;
  uint32_t waiting_sequences = 0;
  uint64_t cache_used_tokens = 0;  // positions of blocks that sequences hold
  uint64_t preemptions = 0;        // since its start
  bool operator==(const AttentionLoad&) const = default;
};

// A worker's report: every `kReportPeriod`, and at once when something in it changed.
struct Report {
  uint64_t number = 0;  // grows with each report of this life of the worker
  std::string name;
  WorkerRole role = WorkerRole::kExpert;
  Incarnation incarnation;  // {0, 0} until control has given one
  uint64_t highest_term = 0;
  Epoch epoch;          // of the topology that it works by
  std::string address;  // where its peers (and, for attention workers, front doors) dial it
  WorkerState state = WorkerState::kJoining;  // kJoining, kLoading, kReady or kDraining
  uint64_t memory_bytes = 0;                  // for weights
  uint32_t threads = 0;
  ComputeClass compute_class;
  ModelIdentity model;
  ExpertSet holds;            // expert workers: loaded and self-tested
  ExpertSet loading;          // expert workers: being loaded, not yet held
  uint64_t loaded_bytes = 0;  // progress of a load; equal to wanted_bytes when done
  uint64_t wanted_bytes = 0;
  int32_t vocabulary = 0;     // attention workers: token ids are below it
  int32_t max_context = 0;    // attention workers: prompt and output together
  uint64_t cache_tokens = 0;  // attention workers: positions that the latent cache holds
  uint64_t cache_bytes_per_token = 0;
  AttentionLoad load;  // attention workers
  // Attention workers: lives of expert workers that owed it an answer and said nothing for the
  // liveness timeout, until a channel to them is open again. By term and number.
  std::vector<Incarnation> silent;
  // Expert workers: rows that each expert of `holds` has run in this life, in the set's order,
  // layer by layer. Empty: not said this time.
  std::vector<uint64_t> rows;
};

// Control's answer: one to every report, and at once when something changed.
struct Command {
  uint64_t term = 0;        // of the coordinator that says this
  uint64_t number = 0;      // grows within a term
  Incarnation incarnation;  // the worker's, from now on
  std::string fenced;       // not empty: a newer life has the name, or why else to exit
  Duration lease{};         // granted, from its arrival
  ExpertSet assigned;       // expert workers: what to hold; an empty grid says nothing
  bool drain = false;       // be DRAINING from now on
  bool released = false;    // DRAINING, and nothing is left to it: exit
  std::shared_ptr<const Topology> topology;  // when the report's epoch is older than control's
};

// Terms go up to this: beyond any number of reigns, and far from where adding one would wrap
// around.
inline constexpr uint64_t kMaxTerm = uint64_t{1} << 48;
inline constexpr Duration kReportPeriod = std::chrono::milliseconds(250);
inline constexpr Duration kRowsPeriod = std::chrono::seconds(2);  // that a report has `rows`
inline constexpr Duration kLease = std::chrono::seconds(2);

}  // namespace expertmesh
