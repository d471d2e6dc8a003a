#include "coordinator/membership/publication.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

// Who may answer for which experts: a class for each that somebody holds.
class Claims {
 public:
  // What of `experts` no other class has claimed; the rest is `refused`, whose claimant is `by`.
  ExpertSet Free(const ComputeClass& mine, const ExpertSet& experts, ComputeClass* by) const {
    ExpertSet free = experts;
    for (const auto& [compute_class, claimed] : claimed_) {
      if (compute_class == mine || claimed.grid() != free.grid()) continue;
      const int64_t before = free.size();
      free.RemoveAll(claimed);
      if (free.size() < before) *by = compute_class;
    }
    return free;
  }

  void Claim(const ComputeClass& mine, const ExpertSet& experts) {
    if (experts.empty()) return;  // also of a worker that says nothing, whose set has no grid
    const auto [claimed, fresh] = claimed_.try_emplace(mine, experts);
    if (!fresh && claimed->second.grid() == experts.grid()) claimed->second.InsertAll(experts);
  }

 private:
  std::map<ComputeClass, ExpertSet> claimed_;
};

// What of `member`'s experts `last` listed for this same life of it.
ExpertSet ListedBefore(const Member& member, const Topology& last) {
  for (const Member& listed : last.members) {
    if (listed.name != member.name || listed.incarnation != member.incarnation ||
        listed.compute_class != member.compute_class ||
        listed.holds.grid() != member.holds.grid()) {
      continue;
    }
    ExpertSet gone = listed.holds, kept = listed.holds;
    gone.RemoveAll(member.holds);
    kept.RemoveAll(gone);
    return kept;
  }
  return ExpertSet(member.holds.grid());
}

}  // namespace

std::vector<Member> ListMembers(std::vector<Member> ready, const Topology* last,
                                std::map<std::string, std::string>* notes) {
  std::sort(ready.begin(), ready.end(), [](const Member& a, const Member& b) {
    return std::pair(a.role, a.name) < std::pair(b.role, b.name);
  });
  Claims claims;
  for (const Member& member : ready) {
    if (last != nullptr && member.role == WorkerRole::kExpert) {
      claims.Claim(member.compute_class, ListedBefore(member, *last));
    }
  }
  for (Member& member : ready) {
    if (member.role != WorkerRole::kExpert) continue;
    ComputeClass by;
    ExpertSet mine = claims.Free(member.compute_class, member.holds, &by);
    claims.Claim(member.compute_class, mine);
    if (mine == member.holds) continue;
    ExpertSet refused = std::exchange(member.holds, std::move(mine));
    refused.RemoveAll(member.holds);
    (*notes)[member.name] =
        absl::StrCat("not used for ", refused.ToText(), ": its compute class is ",
                     ToString(member.compute_class), ", theirs is ", ToString(by));
  }
  return ready;
}

}  // namespace expertmesh
