#include "attention_worker/core/scheduler/fair_share.h"

#include <algorithm>

#include "common/check.h"

namespace expertmesh {

void FairShare::Enter(const std::string& caller) {
  auto entry = entries_.find(caller);
  if (entry == entries_.end()) {
    const Account account = Of(caller);
    if (static_cast<size_t>(account.number) == taken_.size()) taken_.push_back(false);
    taken_[account.number] = true;
    entry = entries_.emplace(caller, Entry{account, 0}).first;
  }
  ++entry->second.requests;
}

void FairShare::Leave(const std::string& caller) {
  const auto entry = entries_.find(caller);
  CHECK(entry != entries_.end(), "who leaves has come");
  if (--entry->second.requests > 0) return;
  taken_[entry->second.account.number] = false;
  entries_.erase(entry);
}

void FairShare::Charge(const std::string& caller, int64_t rows, Time now) {
  const auto entry = entries_.find(caller);
  if (entry == entries_.end()) return;
  entry->second.account.got += rows;
  entry->second.account.last_ran = now;
}

FairShare::Account FairShare::Of(const std::string& caller) const {
  const auto entry = entries_.find(caller);
  if (entry != entries_.end()) return entry->second.account;
  Account account;
  account.number =
      static_cast<int32_t>(std::find(taken_.begin(), taken_.end(), false) - taken_.begin());
  if (entries_.empty()) return account;
  account.got = INT64_MAX;
  for (const auto& [name, other] : entries_) {
    account.got = std::min(account.got, other.account.got);
  }
  return account;
}

}  // namespace expertmesh
