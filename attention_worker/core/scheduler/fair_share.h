// fair_share.h: how much each caller got, as far as it matters to the others that ask now.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/clock.h"

namespace expertmesh {

// Callers are there from their first request that waits or runs to their last. Whoever comes begins
// with what the least served of those that are there got: a right to catch up is not saved up.
// Threads: one.
class FairShare {
 public:
  struct Account {
    int32_t number = 0;  // of the caller while it is there: the lowest that was free
    int64_t got = 0;     // rows
    Time last_ran{};     // when it got the last of them
  };

  void Enter(const std::string& caller);
  void Leave(const std::string& caller);  // once for each Enter: CHECKed
  void Charge(const std::string& caller, int64_t rows, Time now);
  // What whoever is not there would begin with.
  Account Of(const std::string& caller) const;
  size_t callers() const { return entries_.size(); }

 private:
  struct Entry {
    Account account;
    int64_t requests = 0;
  };
  std::map<std::string, Entry> entries_;
  std::vector<bool> taken_;  // numbers
};

}  // namespace expertmesh
