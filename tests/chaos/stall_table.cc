// stall_table: what clients see of each event that a fleet is to survive, as a table in Markdown.
//
// Exit code: 0 when no answer failed through the client library and each had the quiet run's bits;
// 1 when not; 2 for a bad command line.
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/options.h"
#include "common/status.h"
#include "tests/chaos/fleet.h"
#include "tests/chaos/load.h"
#include "tests/chaos/net.h"
#include "tests/chaos/stall_events.h"

namespace expertmesh::chaos {
namespace {

constexpr Duration kBeginPatience = std::chrono::seconds(60);
constexpr int64_t kTokensBefore = 20;  // of each stream, until the event

struct Flags {
  std::string model = EXPERTMESH_SOURCE_DIR "/models/tiny";
  int runs = 5;
  int plain_runs = 1;
  int streams = 32;
  int tokens = 256;
  std::string events;
  bool loopback = false;
};

std::optional<int> Parse(int argc, char** argv, Flags& flags) {
  std::vector<std::string> names;
  for (const StallEvent& event : StallEvents()) names.push_back(event.name);
  CLI::App app("Measures the longest stall that streams see of each event.", "stall_table");
  app.option_defaults()->always_capture_default();
  app.add_option("--model", flags.model, "checkpoint folder");
  AddNumber(app, "--runs", &flags.runs, 1, 100, "runs of each event, through the client library");
  AddNumber(app, "--plain-runs", &flags.plain_runs, 0, 100,
            "runs with a client that does not help itself");
  AddNumber(app, "--streams", &flags.streams, 1, 256, "answers at a time");
  AddNumber(app, "--tokens", &flags.tokens, 50, 100'000, "of each answer");
  app.add_option("--events", flags.events,
                 absl::StrCat("of ", absl::StrJoin(names, ","), "; all if empty"));
  app.add_flag("--loopback", flags.loopback, "no network namespaces");
  return ReadFlags(app, argc, argv, [&]() -> absl::Status {
    for (absl::string_view name : absl::StrSplit(flags.events, ',', absl::SkipEmpty())) {
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        return absl::InvalidArgumentError(absl::StrCat("--events: there is no ", name));
      }
    }
    return absl::OkStatus();
  });
}

struct Seen {
  LoadResult result;
  float quiet_p99_ms = 0;
  float stall_ms = 0;  // the longest gap, less the quiet p99
};

struct Row {
  std::vector<Seen> runs, plain;
};

class Table {
 public:
  Table(Flags flags, std::string logs, Net* net)
      : flags_(std::move(flags)), logs_(std::move(logs)), net_(net) {}

  absl::Status Measure() {
    for (const StallEvent& event : StallEvents()) {
      const std::vector<std::string> wanted = absl::StrSplit(flags_.events, ',', absl::SkipEmpty());
      if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), event.name) == wanted.end()) {
        continue;
      }
      if (event.needs_cables && !net_->isolated()) {
        std::printf("%s: left out, this network has no cables\n", event.name.c_str());
        continue;
      }
      Row row;
      for (int run = 0; run < flags_.runs + flags_.plain_runs; ++run) {
        const bool plain = run >= flags_.runs;
        const absl::StatusOr<Seen> seen = RunOnce(event, plain);
        if (!seen.ok()) return Annotate(seen.status(), event.name);
        (plain ? row.plain : row.runs).push_back(*seen);
      }
      Tell(event, row);
    }
    return absl::OkStatus();
  }

  bool well() const { return well_; }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  // A fleet of its own: what an event leaves behind is not the next one's business.
  absl::StatusOr<Seen> RunOnce(const StallEvent& event, bool plain) {
    Fleet fleet({.model = flags_.model,
                 .expert_workers = event.expert_workers,
                 .attention_flags = {"--drain-ms", "60000"},
                 .expert_flags = {"--drain-ms", "60000"},
                 .logs = logs_},
                net_);
    RETURN_IF_ERROR(fleet.Start());
    if (event.prepare) RETURN_IF_ERROR(event.prepare(fleet));
    RETURN_IF_ERROR(Learn(fleet));
    Seen seen;
    {
      Load quiet({.address = fleet.address(), .streams = flags_.streams, .repeat = false},
                 &questions_);
      const LoadResult result = quiet.Finish();
      if (!result.failed.empty()) return absl::InternalError(result.failed[0].what);
      if (!result.mismatched.empty()) return absl::InternalError(result.mismatched[0].what);
      seen.quiet_p99_ms = Percentile(result.gaps_ms, 99);
    }
    LoadOptions options{.address = fleet.address(), .streams = flags_.streams};
    if (plain) options.most_resumes = 0;
    options.ask_again = !plain;
    Load load(options, &questions_);
    for (const Time until = Now() + kBeginPatience;
         load.tokens() < kTokensBefore * flags_.streams && Now() < until;) {
      std::this_thread::sleep_for(Milliseconds(1));
    }
    const absl::Status happened = event.happen(fleet, *net_);
    seen.result = load.Finish();
    RETURN_IF_ERROR(happened);
    seen.stall_ms = Percentile(seen.result.gaps_ms, 100) - seen.quiet_p99_ms;
    std::printf(
        "%s%s: stall %.0f ms (quiet p99 %.0f ms); answers %lld, failed %zu, "
        "mismatched %zu\n",
        event.name.c_str(), plain ? ", a plain client" : "", seen.stall_ms, seen.quiet_p99_ms,
        static_cast<long long>(seen.result.answers), seen.result.failed.size(),
        seen.result.mismatched.size());
    if (!seen.result.failed.empty()) {
      std::printf("  the first: %s\n", seen.result.failed[0].what.c_str());
    }
    return seen;
  }

  // The undisturbed answers, once: they are the same on every fleet.
  absl::Status Learn(Fleet& fleet) {
    if (!questions_.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const v1::ListModelsResponse models, fleet.client().ListModels());
    if (models.models_size() != 1) return absl::InternalError("not one model");
    questions_ = EqualQuestions(flags_.streams, flags_.tokens, models.models(0).vocabulary());
    return AnswerQuietly(fleet.address(), flags_.streams, questions_);
  }

  void Tell(const StallEvent& event, const Row& row) {
    size_t failed = 0, mismatched = 0, plain_failed = 0, plain_all = 0;
    std::vector<float> stalls;
    float quiet = 0;
    for (const Seen& seen : row.runs) {
      failed += seen.result.failed.size();
      mismatched += seen.result.mismatched.size();
      stalls.push_back(seen.stall_ms);
      quiet = std::max(quiet, seen.quiet_p99_ms);
    }
    for (const Seen& seen : row.plain) {
      mismatched += seen.result.mismatched.size();
      plain_failed += seen.result.failed.size();
      plain_all += seen.result.failed.size() + seen.result.answers + seen.result.mismatched.size();
    }
    well_ = well_ && failed == 0 && mismatched == 0;
    std::sort(stalls.begin(), stalls.end());
    lines_.push_back(absl::StrCat(
        "| ", event.text, " | ", failed, " | ", plain_failed, " of ", plain_all, " | ", mismatched,
        " | ", std::lround(stalls[stalls.size() / 2]), " | ", std::lround(stalls.front()), " to ",
        std::lround(stalls.back()), " | ", std::lround(quiet), " |"));
  }

  const Flags flags_;
  const std::string logs_;
  Net* const net_;
  std::vector<Question> questions_;
  std::vector<std::string> lines_;
  bool well_ = true;
};

int Main(const Flags& flags) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // also into a file
  const std::unique_ptr<Net> net = Net::Make(flags.loopback);
  if (!net->shortcomings().empty()) std::printf("note: %s\n", net->shortcomings().c_str());
  std::string logs = std::filesystem::temp_directory_path() / "stalls.XXXXXX";
  if (::mkdtemp(logs.data()) == nullptr) {
    std::fprintf(stderr, "stall_table: no folder %s\n", logs.c_str());
    return 1;
  }
  Table table(flags, logs, net.get());
  const absl::Status measured = table.Measure();
  std::printf(
      "\n| event | failed | failed for a plain client | other bits | longest stall, ms, "
      "median of %d | least to most | quiet p99, ms |\n|---|---|---|---|---|---|---|\n%s\n",
      flags.runs, absl::StrJoin(table.lines(), "\n").c_str());
  if (!measured.ok()) {
    std::fprintf(stderr, "stall_table: %s; logs are in %s\n", measured.ToString().c_str(),
                 logs.c_str());
    return 1;
  }
  if (table.well()) std::filesystem::remove_all(logs);
  return table.well() ? 0 : 1;
}

}  // namespace
}  // namespace expertmesh::chaos

int main(int argc, char** argv) {
  expertmesh::chaos::Flags flags;
  if (const auto exit_code = expertmesh::chaos::Parse(argc, argv, flags)) return *exit_code;
  return expertmesh::chaos::Main(flags);
}
