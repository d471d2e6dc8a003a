#include "attention_worker/core/batch.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"

namespace expertmesh {
namespace {

void InsertByOrder(std::vector<SequencePtr>& sequences, SequencePtr sequence) {
  const auto after = std::upper_bound(
      sequences.begin(), sequences.end(), sequence,
      [](const SequencePtr& a, const SequencePtr& b) { return a->order < b->order; });
  sequences.insert(after, std::move(sequence));
}

// What may be taken over of it: the last token's logits are wanted in any case.
absl::Span<const int32_t> AllButLast(const Sequence& sequence) {
  return {sequence.tokens.data(), sequence.tokens.size() - 1};
}

// Of those that wait, in one step: more than these do not come to run between two steps.
constexpr int kMostLookedAt = 64;

// A preempted sequence has to find more room each time before it goes on: so it is not preempted
// again at once.
int32_t MarginBlocks(const Sequence& sequence) {
  return sequence.preemptions == 0 ? 1 : 1 << std::min(sequence.preemptions, 20);
}

}  // namespace

Batch::Batch(BatchOptions options, int32_t blocks, int32_t block_rows)
    : options_(options), block_rows_(block_rows), ledger_(blocks, block_rows) {}

void Batch::Add(SequencePtr sequence) {
  sequence->order = next_order_++;
  shares_.Enter(sequence->request.caller);
  waiting_.push_back(std::move(sequence));
  changed_ = true;
}

Sequence* Batch::Find(RequestId id) const {
  for (const auto* list : {&waiting_, &running_}) {
    for (const SequencePtr& sequence : *list) {
      if (sequence->id == id) return sequence.get();
    }
  }
  return nullptr;
}

void Batch::SweepWaiting() {
  const size_t gone = std::erase_if(waiting_, [&](const SequencePtr& sequence) {
    if (sequence->ended) shares_.Leave(sequence->request.caller);
    return sequence->ended;
  });
  if (gone > 0) changed_ = true;
  if (waiting_.empty()) estimate_.OnQueueEmpty();
}

void Batch::Sweep() {
  SweepWaiting();
  const size_t gone = std::erase_if(running_, [&](const SequencePtr& sequence) {
    if (!sequence->ended) return false;
    Keep(*sequence);
    ledger_.Release(sequence->cache);
    shares_.Leave(sequence->request.caller);
    return true;
  });
  if (gone > 0) changed_ = true;
}

// Only what led to logits that were looked at.
void Batch::Keep(Sequence& sequence) {
  if (!sequence.kept || sequence.spoiled) return;
  ledger_.Keep(sequence.request.cache_salt, sequence.tokens, sequence.cache);
  changed_ = true;  // others may need fewer blocks
}

// ---- admission

void Batch::Admit(Time now) {
  const size_t places = static_cast<size_t>(options_.max_sequences);
  if (short_of_blocks_ && !changed_) return;
  short_of_blocks_ = changed_ = false;
  if (waiting_.empty() || running_.size() >= places) return;
  LineUp();
  for (int i = 0; i < kMostLookedAt && !line_.empty() && running_.size() < places; ++i) {
    const int32_t first = ChooseNext(line_, now, numbers_);
    const Waiting turn = line_[first];
    Sequence& next = *in_line_[first];
    line_.erase(line_.begin() + first);
    in_line_.erase(in_line_.begin() + first);
    const CacheLedger::Found found = next.may_reuse()
                                         ? ledger_.Look(next.request.cache_salt, AllButLast(next))
                                         : CacheLedger::Found();
    if (Awaits(next, found.positions)) continue;
    if (!Fits(next, found) || !TryAdmit(next)) {
      short_of_blocks_ = true;
      return;  // nobody overtakes it
    }
    // What it will have got, for whom is next of those that come to run at once.
    const int64_t rows = next.known() - next.cache.cached;
    for (Waiting& other : line_) {
      if (other.caller == turn.caller) other.caller_got += rows;
    }
    const auto it = std::find_if(waiting_.begin(), waiting_.end(),
                                 [&](const auto& w) { return w.get() == &next; });
    InsertByOrder(running_, std::move(*it));
    waiting_.erase(it);
    estimate_.OnAdmitted(now, !waiting_.empty());
  }
}

void Batch::LineUp() {
  line_.clear();
  in_line_.clear();
  for (const SequencePtr& sequence : waiting_) {
    line_.push_back(WaitingOf(*sequence));
    in_line_.push_back(sequence.get());
  }
}

// Whether one that runs is just computing what `next` could take over from it. Waiting for it must
// not take much longer than computing it.
bool Batch::Awaits(const Sequence& next, int32_t found) const {
  if (!next.may_reuse()) return false;
  for (const SequencePtr& other : running_) {
    if (other->kept || other->spoiled) continue;
    if (other->request.cache_salt != next.request.cache_salt) continue;
    const size_t most =
        std::min({AllButLast(next).size(), other->request.prompt.size(), other->tokens.size()});
    const auto differ =
        std::mismatch(next.tokens.begin(), next.tokens.begin() + most, other->tokens.begin());
    const int64_t saved = differ.first - next.tokens.begin() - found;
    const int64_t left = other->known() - other->cache.cached;
    if (saved >= block_rows_ && left <= 2 * saved) return true;
  }
  return false;
}

bool Batch::Fits(Sequence& next, CacheLedger::Found found) const {
  const int32_t known = ledger_.BlocksFor(next.known());
  const int32_t most = ledger_.BlocksFor(next.most());
  const int32_t margin = running_.empty() ? 0 : std::min(MarginBlocks(next), most - known);
  return known - found.used_blocks + margin <= ledger_.obtainable();
}

bool Batch::TryAdmit(Sequence& next) {
  // A copy needs one block more than there may be.
  for (bool tail : {true, false}) {
    if (next.may_reuse()) {
      ledger_.Reuse(next.request.cache_salt, AllButLast(next), tail, next.cache);
    }
    if (ledger_.Grow(next.cache, next.known())) {
      if (next.from_cache < 0) next.from_cache = std::min(next.cache.cached, next.prompt());
      return true;
    }
    ledger_.Release(next.cache);
  }
  return false;
}

// ---- steps

void Batch::Plan(Time now, std::vector<RowRange>& ranges, std::vector<BlockCopy>& copies) {
  do {
    PlanRows(now, ranges);  // empty if who had all the room had to go
  } while (ranges.empty() && !running_.empty());
  copies.clear();
  for (const RowRange& range : ranges) ledger_.TakeCopy(running_[range.index]->cache, copies);
}

void Batch::PlanRows(Time now, std::vector<RowRange>& ranges) {
  progress_.clear();
  for (const SequencePtr& sequence : running_) {
    progress_.push_back({sequence->cache.cached, sequence->known(),
                         LevelOf(sequence->request.priority, sequence->arrived, now)});
  }
  PlanStep(progress_, options_.scheduler, ranges, numbers_);
  bool some_are_gone = false;
  for (const RowRange& range : ranges) {
    const SequencePtr& sequence = running_[range.index];
    while (sequence != nullptr && !ledger_.Grow(sequence->cache, range.first + range.count)) {
      PreemptOne();  // it may be this one
      some_are_gone = true;
    }
  }
  if (some_are_gone) CloseGaps(ranges);
}

// Leaves a gap in running_.
void Batch::PreemptOne() {
  holders_.clear();
  for (const SequencePtr& sequence : running_) {
    if (sequence == nullptr) continue;
    holders_.push_back({sequence->request.priority, sequence->preemptions, sequence->order});
  }
  const int32_t victim = ChooseVictim(holders_);
  CHECK(victim >= 0, "one sequence alone fits the cache");
  const auto found =
      std::find_if(running_.begin(), running_.end(), [&](const SequencePtr& sequence) {
        return sequence != nullptr && sequence->order == holders_[victim].order;
      });
  SequencePtr sequence = std::move(*found);
  Keep(*sequence);
  ledger_.Release(sequence->cache);
  sequence->kept = false;
  most_preemptions_ = std::max(most_preemptions_, ++sequence->preemptions);
  ++preemptions_;
  changed_ = true;
  InsertByOrder(waiting_, std::move(sequence));
}

void Batch::CloseGaps(std::vector<RowRange>& ranges) {
  std::erase_if(ranges, [&](const RowRange& range) { return running_[range.index] == nullptr; });
  for (RowRange& range : ranges) {
    const auto self = running_.begin() + range.index;
    range.index -= static_cast<int32_t>(std::count(running_.begin(), self, nullptr));
  }
  std::erase(running_, nullptr);
}

void Batch::Computed(Sequence& sequence, int32_t rows, Time now) {
  shares_.Charge(sequence.request.caller, rows, now);
  if (!sequence.ended) sequence.cache.cached += rows;  // else some of its rows were skipped
}

void Batch::PromptDone(Sequence& sequence) {
  if (sequence.kept) return;
  sequence.kept = true;
  Keep(sequence);
}

void Batch::ForgetLatents() {
  ledger_.Forget();
  for (const SequencePtr& sequence : running_) sequence->spoiled = true;
}

Waiting Batch::WaitingOf(const Sequence& sequence) const {
  const GenerateRequest& request = sequence.request;
  const FairShare::Account caller = shares_.Of(request.caller);
  return {
      sequence.preemptions > 0, request.priority, sequence.arrived, sequence.order, caller.number,
      caller.last_ran,          caller.got};
}

std::optional<Duration> Batch::ExpectedWait(const GenerateRequest& request, Time now) {
  const bool has_place = running_.size() < static_cast<size_t>(options_.max_sequences);
  if (has_place && !short_of_blocks_) return Duration::zero();
  const FairShare::Account caller = shares_.Of(request.caller);
  const Waiting next{false,         request.priority, now,       next_order_,
                     caller.number, caller.last_ran,  caller.got};
  LineUp();
  return estimate_.For(now, static_cast<size_t>(CountAhead(line_, next, now, numbers_)));
}

void Batch::ReleaseAll() {
  for (auto* list : {&waiting_, &running_}) {
    for (const SequencePtr& sequence : *list) ledger_.Release(sequence->cache);
  }
  ledger_.CopiesMade();
  ledger_.Forget();
}

absl::Status Batch::Check() const {
  std::vector<const CacheHolding*> holdings;
  std::set<absl::string_view> callers;
  for (const auto* list : {&waiting_, &running_}) {
    for (const SequencePtr& sequence : *list) {
      holdings.push_back(&sequence->cache);
      callers.insert(sequence->request.caller);
    }
  }
  if (callers.size() != shares_.callers()) {
    return absl::InternalError(
        absl::StrCat(callers.size(), " callers are there, ", shares_.callers(), " have a share"));
  }
  return ledger_.Check(holdings);
}

}  // namespace expertmesh
