// load_book.h: how many tokens per second each expert gets, the recent past counting most.
//
// A token counts half as much after `half_life`. The sum is divided by the weight of the time since
// the book was begun, so a load that is steady is told right from the first report on. Threads:
// one.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/expert_set.h"
#include "common/clock.h"

namespace expertmesh {

class LoadBook {
 public:
  LoadBook(ExpertGrid grid, Time now, Duration half_life = std::chrono::seconds(60));

  // `tokens` rows went to this expert since the last report; outside the grid they are ignored. A
  // `now` before an earlier one counts as that one.
  void Add(int32_t layer, int32_t expert, uint64_t tokens, Time now);

  // [layers * experts], layer by layer: what PlacementInput.loads wants. All zero: nothing known.
  std::vector<double> TokensPerSecond(Time now) const;

 private:
  double HalfLives(Time now) const;  // since base_
  void Rebase(Time now);

  ExpertGrid grid_;
  Time begin_;
  Time base_;    // a token that is counted at this time weighs 1
  Time newest_;  // of the reports
  double half_life_s_;
  std::vector<double> weights_;
};

}  // namespace expertmesh
