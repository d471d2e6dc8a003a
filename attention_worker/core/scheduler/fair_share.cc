#include "attention_worker/core/scheduler/fair_share.h"

#include <algorithm>

#include "common/check.h"

namespace expertmesh {

void FairShare::Enter(const std::string& caller) {
  const auto [account, is_new] = accounts_.try_emplace(caller);
  if (is_new && accounts_.size() > 1) {
    int64_t least = INT64_MAX;
    for (const auto& [name, other] : accounts_) {
      if (name != caller) least = std::min(least, other.served);
    }
    account->second.served = least;
  }
  ++account->second.requests;
}

void FairShare::Leave(const std::string& caller) {
  const auto account = accounts_.find(caller);
  CHECK(account != accounts_.end(), "who leaves has come");
  if (--account->second.requests == 0) accounts_.erase(account);
}

void FairShare::Charge(const std::string& caller, int64_t rows) {
  const auto account = accounts_.find(caller);
  if (account != accounts_.end()) account->second.served += rows;
}

int64_t FairShare::served(const std::string& caller) const {
  const auto account = accounts_.find(caller);
  return account == accounts_.end() ? 0 : account->second.served;
}

}  // namespace expertmesh
