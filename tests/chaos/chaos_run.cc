// chaos_run: a fleet of real programs, streams that never pause, and a schedule of faults.
//
// Exit code: 0 when every answer was complete and equal to the undisturbed one and the fleet was
// whole and empty in the end; 1 when not; 2 for a bad command line.
#include <stdlib.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/options.h"
#include "common/status.h"
#include "tests/chaos/disturber.h"
#include "tests/chaos/fleet.h"
#include "tests/chaos/load.h"
#include "tests/chaos/losses.h"
#include "tests/chaos/memory.h"
#include "tests/chaos/net.h"
#include "tests/chaos/schedule.h"

namespace expertmesh::chaos {
namespace {

constexpr Duration kHealPatience = std::chrono::seconds(60);
constexpr Duration kEmptyPatience = std::chrono::seconds(10);
constexpr int kQuestions = 61;  // no multiple of any usual number of streams
constexpr int64_t kWarmMs = 30'000;
// What a program may grow by between warm and done: heaps that have seen more load than before.
constexpr size_t kGrowthBytes = size_t{24} << 20;

struct Flags {
  uint64_t seed = 1;
  int seconds = 60;
  std::string schedule;
  std::string model = EXPERTMESH_SOURCE_DIR "/models/tiny";
  int attention = 2;
  int experts = 4;
  int streams = 8;
  int busy_loops = 0;
  bool loopback = false;
  std::string logs;
};

std::optional<int> Parse(int argc, char** argv, Flags& flags) {
  CLI::App app(
      "A fleet of real programs under a seeded schedule of faults; every answer is held "
      "against that of the quiet fleet, bit by bit.",
      "chaos_run");
  app.option_defaults()->always_capture_default();
  app.add_option("--seed", flags.seed, "of the schedule");
  AddNumber(app, "--seconds", &flags.seconds, 10, 86'400, "how long the streams run");
  app.add_option("--schedule", flags.schedule,
                 "a file with the schedule (tests/chaos/schedule.h) instead of a drawn one; "
                 "`empty`: nothing happens");
  app.add_option("--model", flags.model, "checkpoint folder");
  AddNumber(app, "--attention", &flags.attention, 1, 32, "attention workers");
  AddNumber(app, "--experts", &flags.experts, 1, 64, "expert workers");
  AddNumber(app, "--streams", &flags.streams, 1, 256, "answers at a time");
  AddNumber(app, "--busy-loops", &flags.busy_loops, 0, 256, "threads that do nothing but compute");
  app.add_flag("--loopback", flags.loopback, "no network namespaces");
  app.add_option("--logs", flags.logs, "a folder for the programs' logs; a temporary one if empty");
  return ReadFlags(app, argc, argv, [] { return absl::OkStatus(); });
}

absl::StatusOr<Schedule> ScheduleOf(const Flags& flags, const Net& net) {
  const Ground ground{flags.attention, flags.experts, net.isolated(), net.can_lose()};
  if (flags.schedule.empty()) return DrawSchedule(flags.seed, flags.seconds * 1000, ground);
  if (flags.schedule == "empty") return Schedule();
  std::ifstream file(flags.schedule);
  if (!file) return absl::NotFoundError(absl::StrCat("--schedule: cannot read ", flags.schedule));
  ASSIGN_OR_RETURN(const Schedule schedule,
                   ParseSchedule(std::string(std::istreambuf_iterator<char>(file), {})));
  if (const absl::Status survivable = CheckSurvivable(schedule, ground); !survivable.ok()) {
    std::printf("note: not meant to be survivable: %s\n",
                std::string(survivable.message()).c_str());
  }
  return schedule;
}

// Threads that keep the cores busy until it goes.
class BusyLoops {
 public:
  explicit BusyLoops(int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this] {
        while (!over_.load(std::memory_order_relaxed)) {
        }
      });
    }
  }
  ~BusyLoops() {
    over_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> over_ = false;
  std::vector<std::thread> threads_;
};

class Run {
 public:
  Run(Flags flags, std::string logs, Net* net)
      : flags_(std::move(flags)),
        net_(net),
        fleet_({.model = flags_.model,
                .attention_workers = flags_.attention,
                .expert_workers = flags_.experts,
                .attention_flags = {"--drain-ms", "5000", "--cache-tokens", "4096"},
                .logs = std::move(logs)},
               net) {}

  // Whether all was well; errors are of what could not even begin.
  absl::StatusOr<bool> Do() {
    ASSIGN_OR_RETURN(schedule_, ScheduleOf(flags_, *net_));
    std::printf("# seed %llu, %d s, %d attention and %d expert workers, %d streams\n%s",
                static_cast<unsigned long long>(flags_.seed), flags_.seconds, flags_.attention,
                flags_.experts, flags_.streams, ToText(schedule_).c_str());
    RETURN_IF_ERROR(fleet_.Start());
    ASSIGN_OR_RETURN(const int32_t vocabulary, Vocabulary());
    questions_ = DrawQuestions(kQuestions, 1, vocabulary);
    RETURN_IF_ERROR(
        Annotate(AnswerQuietly(fleet_.address(), flags_.streams, questions_), "the quiet run"));
    std::printf("# %d questions are answered; now it begins\n", kQuestions);
    Disturb();
    Judge();
    return well_;
  }

 private:
  void Fault(const std::string& what) {
    well_ = false;
    std::printf("FAULT: %s\n", what.c_str());
  }

  absl::StatusOr<int32_t> Vocabulary() {
    ASSIGN_OR_RETURN(const v1::GetTopologyResponse fleet, fleet_.client().GetTopology());
    for (const v1::WorkerListing& worker : fleet.workers()) {
      if (worker.vocabulary() > 0) return worker.vocabulary();
    }
    return absl::InternalError("no attention worker tells its vocabulary");
  }

  void Disturb() {
    const BusyLoops busy(flags_.busy_loops);
    Disturber disturber(schedule_, &fleet_, net_);
    const Time begin = Now();
    begin_ms_ = std::chrono::duration_cast<std::chrono::milliseconds>(
                    std::chrono::system_clock::now().time_since_epoch())
                    .count();
    Load load({.address = fleet_.address(), .streams = flags_.streams}, &questions_);
    int64_t next_look_ms = 0;
    for (int64_t now_ms = 0; now_ms < flags_.seconds * 1000 || !disturber.over();
         now_ms = (Now() - begin) / Milliseconds(1)) {
      disturber.Advance(now_ms);
      if (now_ms >= next_look_ms) {
        memory_.Look(fleet_, now_ms);
        next_look_ms = now_ms + 1000;
      }
      std::this_thread::sleep_for(Milliseconds(5));
    }
    result_ = load.Finish();
    for (const std::string& fault : disturber.faults()) Fault(fault);
    left_out_ = disturber.left_out();
  }

  void Judge() {
    for (const Broken& broken : result_.failed) Fault(TextOf("failed", broken));
    for (const Broken& broken : result_.mismatched) Fault(TextOf("mismatched", broken));
    if (result_.answers == 0) Fault("no answer was complete");
    const absl::Status whole = fleet_.client().WaitUntilWhole(kHealPatience);
    if (!whole.ok()) Fault(std::string(whole.message()));
    if (const std::string left = WhatIsLeft(); !left.empty()) Fault(left);
    std::printf(
        "answers %lld, tokens %lld, refused before they began and asked again %lld; "
        "failed %zu, mismatched %zu; longest gap between tokens %.0f ms, which ended at %.1f s, "
        "p99 %.0f ms\n",
        static_cast<long long>(result_.answers), static_cast<long long>(result_.tokens),
        static_cast<long long>(result_.refused), result_.failed.size(), result_.mismatched.size(),
        result_.longest.ms, result_.longest.at_s, Percentile(result_.gaps_ms, 99));
    if (left_out_ > 0)
      std::printf("events left out, since the network cannot do them: %d\n", left_out_);
    JudgeLosses();
    JudgeMemory();
  }

  std::string TextOf(const char* what, const Broken& broken) const {
    return absl::StrCat("stream ", broken.stream, " ", what, " at ", broken.at_s, " s, question ",
                        broken.question, ": ", broken.what);
  }

  // Of sequences in attention workers, when nobody asks any more; empty: nothing.
  std::string WhatIsLeft() {
    const Time until = Now() + kEmptyPatience;
    for (;;) {
      std::string left;
      const absl::StatusOr<v1::GetTopologyResponse> fleet = fleet_.client().GetTopology();
      if (!fleet.ok()) return std::string(fleet.status().message());
      for (const v1::WorkerListing& worker : fleet->workers()) {
        if (!fleet_.known(worker.name())) continue;  // of a life that was
        if (worker.running_sequences() + worker.waiting_sequences() + worker.cache_used_tokens() >
            0) {
          absl::StrAppend(&left, worker.name(), " still has ", worker.running_sequences(),
                          " running and ", worker.waiting_sequences(), " waiting sequences, ",
                          worker.cache_used_tokens(), " tokens of cache; ");
        }
      }
      if (left.empty() || Now() > until) return left;
      std::this_thread::sleep_for(Milliseconds(100));
    }
  }

  void JudgeLosses() {
    const std::vector<Loss> all = ReadLosses(fleet_.LogOf(kCoordinator), begin_ms_);
    const std::vector<Loss> wrong = FalseLosses(all, schedule_);
    size_t during = 0;
    for (const Loss& loss : all) during += loss.at_ms >= 0 ? 1 : 0;
    std::printf("workers taken for LOST: %zu, of them without an event: %zu\n", during,
                wrong.size());
    for (const Loss& loss : wrong) {
      std::printf("  %.3f s: %s\n", static_cast<double>(loss.at_ms) / 1000, loss.line.c_str());
    }
    if (schedule_.empty() && !wrong.empty()) well_ = false;
  }

  void JudgeMemory() {
    constexpr double kMiB = 1 << 20;
    for (const Growth& life : memory_.Lives()) {
      std::printf("memory of %-11s warm %7.1f MiB, half way %7.1f, after %4lld s %7.1f\n",
                  life.name.c_str(), life.warm_bytes / kMiB, life.half_bytes / kMiB,
                  static_cast<long long>(life.watched_ms / 1000), life.last_bytes / kMiB);
      if (life.last_bytes > life.warm_bytes + kGrowthBytes) {
        Fault(absl::StrCat(life.name, " grows: ", life.last_bytes - life.warm_bytes,
                           " bytes, more than ", kGrowthBytes));
      }
    }
  }

  const Flags flags_;
  Net* const net_;
  Fleet fleet_;
  Schedule schedule_;
  std::vector<Question> questions_;
  LoadResult result_;
  MemoryWatch memory_{kWarmMs};
  int64_t begin_ms_ = 0;
  int left_out_ = 0;
  bool well_ = true;
};

int Main(const Flags& flags) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // also into a file
  const std::unique_ptr<Net> net = Net::Make(flags.loopback);
  if (!net->shortcomings().empty()) std::printf("note: %s\n", net->shortcomings().c_str());
  std::string logs = flags.logs;
  if (logs.empty()) {
    logs = std::filesystem::temp_directory_path() / "chaos.XXXXXX";
    if (::mkdtemp(logs.data()) == nullptr) {
      std::fprintf(stderr, "chaos_run: no folder %s\n", logs.c_str());
      return 1;
    }
  }
  const absl::StatusOr<bool> well = Run(flags, logs, net.get()).Do();
  if (!well.ok()) {
    std::fprintf(stderr, "chaos_run: %s; logs are in %s\n", well.status().ToString().c_str(),
                 logs.c_str());
    return 1;
  }
  if (*well && flags.logs.empty()) std::filesystem::remove_all(logs);
  std::printf(*well ? "all was well\n" : "not all was well: logs are in %s\n", logs.c_str());
  return *well ? 0 : 1;
}

}  // namespace
}  // namespace expertmesh::chaos

int main(int argc, char** argv) {
  expertmesh::chaos::Flags flags;
  if (const auto exit_code = expertmesh::chaos::Parse(argc, argv, flags)) return *exit_code;
  return expertmesh::chaos::Main(flags);
}
