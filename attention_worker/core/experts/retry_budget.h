// retry_budget.h: how much may be sent again, so that a fleet in trouble is not given more work.
//
// A bucket of tokens, one for each call that is sent again. Every first call adds a share of one,
// and time adds a few, so that a step that waits for nothing else still goes on.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/clock.h"
#include "common/mutant.h"

namespace expertmesh {

struct RetryBudgetOptions {
  double share = 0.1;      // of a token, for each first call
  double per_second = 10;  // tokens
  double most = 32;        // the bucket holds; it is full at first
};

// Threads: one.
class RetryBudget {
 public:
  explicit RetryBudget(RetryBudgetOptions options) : options_(options), tokens_(options.most) {}

  void OnFirstCall() { tokens_ = std::min(options_.most, tokens_ + options_.share); }

  // Whether one call more may be sent again, which then is counted.
  bool TrySpend(Time now) {
    Refill(now);
    if (Mutant("retry_without_budget")) return true;
    if (tokens_ < kOne) return false;
    tokens_ = std::max(0.0, tokens_ - 1);
    return true;
  }

  // The same for what is not needed, only faster: it leaves half of the bucket to what is.
  bool TrySpare(Time now) {
    Refill(now);
    return tokens_ >= options_.most / 2 + 1 && TrySpend(now);
  }

  // When there is a token by time alone.
  Time NextToken() const {
    if (tokens_ >= kOne) return filled_at_;
    const std::chrono::duration<double> wait((1 - tokens_) / options_.per_second);
    return filled_at_ + std::chrono::ceil<Duration>(wait);
  }

 private:
  static constexpr double kOne = 1 - 1e-9;  // a token, of which rounding may have taken something

  void Refill(Time now) {
    if (now > filled_at_ && filled_at_ != Time{}) {
      const std::chrono::duration<double> passed = now - filled_at_;
      tokens_ = std::min(options_.most, tokens_ + passed.count() * options_.per_second);
    }
    filled_at_ = std::max(filled_at_, now);
  }

  RetryBudgetOptions options_;
  double tokens_;
  Time filled_at_{};
};

}  // namespace expertmesh
