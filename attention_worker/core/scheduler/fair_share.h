// fair_share.h: how much each caller got, as far as it matters to the others that ask now.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace expertmesh {

// Callers are there from their first request that waits or runs to their last. Whoever comes begins
// with what the least served of those that are there got: a right to catch up is not saved up.
// Threads: one.
class FairShare {
 public:
  void Enter(const std::string& caller);
  void Leave(const std::string& caller);  // once for each Enter: CHECKed
  void Charge(const std::string& caller, int64_t rows);
  // Rows; 0 for whoever is not there.
  int64_t served(const std::string& caller) const;
  size_t callers() const { return accounts_.size(); }

 private:
  struct Account {
    int64_t served = 0;
    int64_t requests = 0;
  };
  std::map<std::string, Account> accounts_;
};

}  // namespace expertmesh
