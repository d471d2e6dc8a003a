#include "simulation/invariants/requests.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh::simulation {
namespace {

// Longer than any single fault lasts, and than it takes to notice one.
constexpr Duration kAfterDeadline = std::chrono::seconds(15);
// A client's clock against the cluster's: what one way through the network takes.
constexpr Duration kDeadlineSlack = std::chrono::milliseconds(1);

std::string Name(const RequestRecord& record) { return absl::StrCat("request ", record.id); }

}  // namespace

void CheckTokens(World& world, const RequestRecord& record, const Delta& delta) {
  const auto fail = [&](const auto&... what) {
    world.Violate("tokens_equal_reference", absl::StrCat(Name(record), ": ", what...));
  };
  const std::vector<OutputToken>& want = record.answer.tokens;
  for (size_t i = 0; i < delta.tokens.size(); ++i) {
    const size_t at = record.tokens + i;
    const OutputToken& got = delta.tokens[i];
    if (at >= want.size()) return fail("output token ", at, " of ", want.size());
    if (got == want[at]) continue;
    return fail("output token ", at, " is ", got.id, " with logprob ", got.logprob, " and ",
                got.top.size(), " alternatives; the reference has ", want[at].id, " with ",
                want[at].logprob, " and ", want[at].top.size());
  }
  for (size_t i = 0; i < delta.prompt_logprobs.size(); ++i) {
    const size_t at = record.prompt_logprobs + i;
    if (at >= record.answer.prompt_logprobs.size()) return fail("too many prompt logprobs");
    const float expected = record.answer.prompt_logprobs[at];
    if (delta.prompt_logprobs[i] == expected) continue;
    return fail("logprob of prompt token ", at + 1, " is ", delta.prompt_logprobs[i],
                "; the reference has ", expected);
  }
}

void CheckFinish(World& world, const RequestRecord& record, const Delta& delta) {
  const bool last = record.tokens + delta.tokens.size() == record.answer.tokens.size();
  Usage used = {static_cast<int32_t>(record.request.prompt.size()),
                static_cast<int32_t>(record.tokens + delta.tokens.size())};
  const size_t scores = record.prompt_logprobs + delta.prompt_logprobs.size();
  const bool told = last ? delta.finish == record.answer.finish &&
                               delta.stop_token_id == record.answer.stop_token_id
                         : delta.finish == FinishReason::kNone;
  used.cached_tokens = delta.usage.cached_tokens;  // it depends on who was there before
  // Who asks for the prompt's logprobs reuses nothing, unless it went on elsewhere when it had
  // them.
  const bool had = record.prompt_logprobs > 0 || used.prompt_tokens == 1;
  const int32_t reusable = record.request.prompt_logprobs && !had ? 0 : used.prompt_tokens;
  const bool cached = used.cached_tokens >= 0 && used.cached_tokens <= reusable;
  if (told && cached && delta.usage == used && scores == record.answer.prompt_logprobs.size())
    return;
  world.Violate("finish_is_told",
                absl::StrCat(Name(record), ": after ", used.output_tokens, " of ",
                             record.answer.tokens.size(), " tokens the delta says finish ",
                             static_cast<int>(delta.finish), ", usage ", delta.usage.prompt_tokens,
                             " + ", delta.usage.output_tokens, ", ", delta.usage.cached_tokens,
                             " from the cache, and ", scores, " prompt logprobs have come"));
}

void CheckNotEnded(World& world, const RequestRecord& record, const std::string& what) {
  if (!record.end.has_value()) return;
  world.Violate("ends_once", absl::StrCat(Name(record), " has ended with ", record.end->ToString(),
                                          "; then comes ", what));
}

void CheckEndFits(World& world, const RequestRecord& record, const absl::Status& status) {
  if (status.ok() == record.finished) return;
  world.Violate("ends_once", absl::StrCat(Name(record), " ends with ", status.ToString(), " after ",
                                          record.tokens, " tokens, ", record.finished ? "" : "not ",
                                          "the last one"));
}

void CheckFailureCode(World& world, const RequestRecord& record, const absl::Status& status) {
  const bool hinted = RetryAfter(status).has_value();
  bool allowed = status.ok();
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
      allowed = hinted;
      break;
    case absl::StatusCode::kCancelled:
      allowed = record.cancelled_at.has_value();
      break;
    case absl::StatusCode::kDeadlineExceeded: {
      const bool passed = record.request.deadline != kNever &&
                          world.events.now() + kDeadlineSlack >= record.request.deadline;
      allowed = passed || (record.request.deadline != kNever && world.clock_jumped);
      break;
    }
    default:
      break;
  }
  if (allowed) return;
  world.Violate("failure_is_allowed", absl::StrCat(Name(record), " ends with ", status.ToString(),
                                                   hinted ? "" : ", without a retry hint"));
}

void CheckFailureCause(World& world, const RequestRecord& record, const absl::Status& status) {
  if (status.ok() || (world.may_fail && !record.probe)) return;
  if (absl::IsCancelled(status) || absl::IsDeadlineExceeded(status)) return;
  if (absl::IsResourceExhausted(status) && !record.probe) return;
  world.Violate("no_failure_without_fault",
                absl::StrCat(Name(record), " ends with ", status.ToString()));
}

void CheckEndsInTime(World& world, const RequestRecord& record, Duration patience) {
  if (record.end.has_value()) return;
  const Time now = world.events.now();
  Time bound = record.arrived + patience;
  const Time deadline = record.request.deadline;
  if (deadline != kNever) bound = std::min(bound, deadline + kAfterDeadline);
  if (record.cancelled_at) bound = std::min(bound, *record.cancelled_at + kAfterDeadline);
  if (now <= bound) return;
  const std::chrono::duration<double> age = now - record.arrived;
  world.Violate("ends_in_time", absl::StrCat(Name(record), " has not ended after ", age.count(),
                                             " s; ", record.tokens, " tokens have come"));
}

}  // namespace expertmesh::simulation
