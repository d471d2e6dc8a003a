#include "simulation/run.h"

#include <algorithm>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "simulation/cluster.h"
#include "simulation/plan.h"
#include "simulation/workload/client.h"

namespace expertmesh::simulation {
namespace {

// Links, channels and streams take up to six seconds to notice that they are broken, dials four.
constexpr Duration kLasting = std::chrono::seconds(7);
constexpr Duration kWholeWithin = std::chrono::seconds(30);
constexpr Duration kNothingLeftWithin = std::chrono::seconds(10);
constexpr Duration kLook = std::chrono::milliseconds(100);
constexpr uint64_t kMostEvents = 2'000'000;

class Run {
 public:
  Run(uint64_t seed, EventLog::Mode log)
      : plan_(DrawPlan(seed)),
        world_(seed, log),
        cluster_(&world_, &plan_),
        client_(&world_, &cluster_, plan_.model, plan_.patience) {
    cluster_.OnCoordinatorDied(
        [this](const std::string& label) { client_.OnCoordinatorDied(label); });
  }

  RunResult Go() {
    cluster_.LaunchAll();
    // Without faults nothing may fail, so nothing is sent before there is a cluster.
    const bool faultless = plan_.faults.empty();
    if (faultless) AwaitWhole();
    world_.may_fail = !faultless;
    for (const RequestPlan& request : plan_.requests) client_.Send(request);
    for (const FaultPlan& fault : plan_.faults) {
      world_.events.After(fault.at, [this, &fault] { Inject(cluster_, fault); });
    }
    Pass(plan_.busy);
    cluster_.Heal();
    AwaitLastingWhole();
    AwaitAllEnded();
    if (!world_.violation) client_.SendProbes(static_cast<int>(plan_.attention_names.size()));
    AwaitAllEnded();
    Await("nothing_left", kNothingLeftWithin, [this] { return cluster_.Leftovers(); });
    return Result();
  }

 private:
  void AwaitWhole() {
    Await("becomes_whole", kWholeWithin, [this] { return cluster_.Ailment(); });
  }

  // Whole, and stays so: what the faults have broken comes to light only after a while.
  void AwaitLastingWhole() {
    Time whole_since = kNever;
    Await("becomes_whole", kWholeWithin, [this, &whole_since] {
      std::string ailment = cluster_.Ailment();
      const Time now = world_.events.now();
      whole_since = ailment.empty() ? std::min(whole_since, now) : kNever;
      if (ailment.empty() && now < whole_since + kLasting) ailment = "not whole for long";
      return ailment;
    });
  }

  void AwaitAllEnded() {  // one that takes too long is found by the clients first
    Await("ends_in_time", 2 * plan_.patience,
          [this] { return std::string(client_.AllEnded() ? "" : "requests are still running"); });
  }

  // Runs for this long, or until an invariant breaks.
  void Pass(Duration time) {
    const Time until = world_.events.now() + time;
    while (!world_.violation && world_.events.RunNext(until)) {
      cluster_.Bury();
      if (world_.events.events() > kMostEvents) {
        world_.Violate("no_spinning", absl::StrCat(kMostEvents, " events, and no end"));
      }
    }
  }

  // Runs until `lacks` finds nothing; that it does so within `bound` is the invariant.
  void Await(const char* invariant, Duration bound, const std::function<std::string()>& lacks) {
    const Time until = world_.events.now() + bound;
    while (!world_.violation) {
      const std::string lacking = lacks();
      if (lacking.empty()) return;
      if (world_.events.now() >= until) world_.Violate(invariant, lacking);
      Pass(kLook);
    }
  }

  RunResult Result() const {
    RunResult result;
    result.violation = world_.violation;
    result.events = world_.events.events();
    result.digest = world_.events.digest();
    result.requests = client_.sent();
    result.succeeded = client_.succeeded();
    const std::chrono::duration<double> passed = world_.events.now() - EventQueue::kStart;
    result.virtual_seconds = passed.count();
    result.log_tail.assign(world_.log.tail().begin(), world_.log.tail().end());
    return result;
  }

  Plan plan_;
  World world_;
  Cluster cluster_;
  Client client_;
};

}  // namespace

RunResult RunSeed(uint64_t seed, EventLog::Mode log) { return Run(seed, log).Go(); }

std::string FailureText(uint64_t seed, const RunResult& failed) {
  std::string text = absl::StrCat("seed ", seed, ": invariant ", failed.violation->invariant, ": ",
                                  failed.violation->what, "\n");
  for (const std::string& line : failed.log_tail) absl::StrAppend(&text, line, "\n");
  absl::StrAppend(&text, "seed ", seed, ": invariant ", failed.violation->invariant, ": ",
                  failed.violation->what, "\nreplay: simulation_run --seed ", seed, " --verbose\n");
  return text;
}

}  // namespace expertmesh::simulation
