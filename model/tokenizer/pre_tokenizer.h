// pre_tokenizer.h: cuts text into the pieces that BPE then merges, each for itself.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/tokenizer/split_pattern.h"

namespace expertmesh {

inline constexpr size_t kPreTokenizerStepsMax = 16;

// Immutable; any thread.
class PreTokenizer {
 public:
  // Reads tokenizer.json's pre_tokenizer: ByteLevel, or a Sequence that ends with it; before it
  // any number of Split (by a regular expression of split_pattern.h, Isolated, not inverted) and
  // Digits (individual). ByteLevel must neither add a prefix space nor have its own regex.
  // Errors  INVALID_ARGUMENT: field, found, expected.
  static absl::StatusOr<PreTokenizer> Parse(const nlohmann::json& tokenizer);

  // Gives `piece` the pieces of `text`, in order; together they are the text, and none is empty.
  // `text` is valid UTF-8. Every step cuts the pieces of the step before. Takes steps off `budget`.
  // Errors  RESOURCE_EXHAUSTED: the budget was spent; some pieces may have been given.
  using Sink = absl::FunctionRef<void(absl::string_view piece)>;
  absl::Status Split(absl::string_view text, StepBudget& budget, Sink piece) const;

 private:
  struct Digits {
    CharSet numeric;
  };
  using Step = std::variant<SplitPattern, Digits>;

  absl::Status AddStep(const nlohmann::json& json, const std::string& field, bool last);
  void RunFrom(size_t step, absl::string_view text, StepBudget& budget, Sink piece) const;

  std::vector<Step> steps_;
};

}  // namespace expertmesh
