#include "simulation/faults/fault.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_format.h"
#include "simulation/cluster.h"

namespace expertmesh::simulation {
namespace {

struct Kind {
  const char* name;
  Duration longest;
  void (*inject)(Cluster& cluster, const FaultPlan& fault);
};

constexpr std::array<Kind, static_cast<size_t>(FaultKind::kCount)> kKinds = {{
    {"data noise", std::chrono::seconds(6), InjectDataNoise},
    {"echo", std::chrono::seconds(30), InjectEcho},
    {"control noise", std::chrono::seconds(6), InjectControlNoise},
    {"client noise", std::chrono::seconds(3), InjectClientNoise},
    {"partition", std::chrono::seconds(8), InjectPartition},
    {"reset", Duration(0), InjectReset},
    {"pause", std::chrono::seconds(6), InjectPause},
    {"crash", std::chrono::seconds(6), InjectCrash},
    {"replace", std::chrono::seconds(5), InjectReplace},
    {"clock jump", Duration(0), InjectClockJump},
    {"bad disk", Duration(0), InjectBadDisk},
    {"drain", std::chrono::seconds(8), InjectDrain},
    {"operator", std::chrono::seconds(5), InjectOperator},
}};

const Kind& KindOf(const FaultPlan& fault) { return kKinds[static_cast<size_t>(fault.kind)]; }

}  // namespace

std::string Describe(const FaultPlan& fault) {
  const std::chrono::duration<double> length = fault.length;
  return absl::StrFormat("FAULT %s: %s, %s, for %.3f s, strength %.2f%s", KindOf(fault).name,
                         fault.target, fault.other, length.count(), fault.strength,
                         fault.harsh ? ", harsh" : "");
}

std::vector<FaultPlan> DrawFaults(Random& chance, const std::vector<std::string>& names, int count,
                                  Duration until) {
  // Some kinds only: rare meetings of two faults become likely when the others keep quiet.
  std::vector<FaultKind> kinds;
  for (size_t kind = 0; kind < kKinds.size(); ++kind) {
    if (chance.Chance(0.5)) kinds.push_back(static_cast<FaultKind>(kind));
  }
  if (kinds.empty()) kinds.push_back(FaultKind::kCrash);
  std::vector<FaultPlan> faults;
  for (int i = 0; i < count; ++i) {
    FaultPlan fault;
    fault.kind = kinds[chance.Below(kinds.size())];
    fault.at = chance.Between(Duration(0), until);
    fault.length = std::min(chance.Skewed(Duration(0), KindOf(fault).longest), until - fault.at);
    fault.target = names[chance.Below(names.size())];
    do {
      fault.other = names[chance.Below(names.size())];
    } while (fault.other == fault.target);
    fault.strength = static_cast<double>(chance.Below(100)) / 100;
    fault.harsh = chance.Chance(0.3);
    faults.push_back(std::move(fault));
  }
  return faults;
}

void Inject(Cluster& cluster, const FaultPlan& fault) {
  if (cluster.world().log.on()) cluster.world().Log("faults", Describe(fault));
  KindOf(fault).inject(cluster, fault);
}

}  // namespace expertmesh::simulation
