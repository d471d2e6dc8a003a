// split_pattern.h: a regular expression of a pre-tokenizer's Split, matched in linear time.
//
// What is understood is what published tokenizers use:
//
//   pattern     = alternative { "|" alternative }
//   alternative = item { item } [ "$" | "(?!" set ")" ]
//   item        = set [ "?" | "*" | "+" | "{m}" | "{m,}" | "{m,n}" ]
//   set         = a character | "\" and one of r n t f v s S or a punctuation character
//               | "\p{X}" or "\P{X}", with X a major category of unicode.h | "[" ... "]"
//
// with the meaning that the regex engine of Hugging Face's tokenizers gives it: alternatives in
// order, greedy items, `$` before each line feed and at the end. All else is refused by name.
//
// A backtracking engine takes quadratic time for `\s+$` on spaces with a letter behind them, or
// for `\s*[\r\n]+`: it scans the run anew from each of its characters. Here every unbounded item
// remembers the last run from all of whose places the rest of its alternative failed, and does not
// enter it again. docs/decisions/0006-split-patterns-are-linear.md tells why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/tokenizer/char_set.h"

namespace expertmesh {

inline constexpr size_t kPatternBytesMax = 4096;
inline constexpr int kPatternItemsMax = 64;  // of all alternatives
inline constexpr int kRepeatMax = 64;        // in {m,n}

// [begin, end) of a text, in bytes.
struct TextSpan {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const TextSpan&) const = default;
};

// Counts a character that is looked at, or a place that is tried, as one step.
struct StepBudget {
  int64_t left = 0;
  bool Take() { return left > 0 && left-- > 0; }
};

// Immutable; any thread.
class SplitPattern {
 public:
  // Errors  INVALID_ARGUMENT: what is not understood and at which byte, or that the pattern may
  //         match nothing at all (which would split between any two characters).
  static absl::StatusOr<SplitPattern> Parse(absl::string_view pattern);

  // Walks over the matches in one text, which is valid UTF-8 and outlives this.
  class Matches {
   public:
    Matches(const SplitPattern& pattern, absl::string_view text, StepBudget& budget)
        : pattern_(pattern), text_(text), budget_(budget), failed_(pattern.memories_) {}

    // The leftmost match at or after the end of the one before; never empty. nullopt if there is
    // none, or if the budget is spent.
    std::optional<TextSpan> Next();

   private:
    // The characters from begin to end, both included, that an item need not enter again.
    struct FailedRun {
      size_t begin = 1;
      size_t end = 0;
      bool Has(size_t at) const { return begin <= at && at <= end; }
    };

    std::optional<size_t> MatchAt(size_t at);
    std::optional<size_t> MatchItems(size_t alternative, size_t item, size_t at);
    std::optional<size_t> MatchRun(size_t alternative, size_t item, size_t at);
    bool TailHolds(size_t alternative, size_t at) const;

    const SplitPattern& pattern_;
    const absl::string_view text_;
    StepBudget& budget_;
    std::vector<FailedRun> failed_;
    size_t at_ = 0;
  };

 private:
  friend class SplitPatternParser;

  static constexpr int kUnbounded = -1;
  struct Item {
    int set = 0;  // index into sets_
    int min = 1;
    int max = 1;
    int memory = 0;  // of an unbounded item: index into Matches::failed_
  };
  enum class Tail { kNone, kLineEnd, kNotFollowedBy };
  struct Alternative {
    std::vector<Item> items;
    Tail tail = Tail::kNone;
    int tail_set = 0;
  };

  bool SetHas(int set, char32_t character) const {
    return sets_[static_cast<size_t>(set)].Has(character);
  }

  std::vector<CharSet> sets_;
  std::vector<Alternative> alternatives_;
  // For each ASCII character, which of the first 64 alternatives may begin with it, as bits.
  std::vector<uint64_t> may_begin_;
  size_t memories_ = 0;
};

}  // namespace expertmesh
