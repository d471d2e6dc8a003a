#include "cli/fleet/expert_list.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace expertmesh {
namespace {

struct Range {
  int32_t first = 0, last = 0;
};

// "7" or "0-15"; nullopt when it is neither.
std::optional<Range> ParseRange(absl::string_view text) {
  const std::vector<std::string> ends = absl::StrSplit(text, absl::MaxSplits('-', 1));
  Range range;
  if (!absl::SimpleAtoi(ends.front(), &range.first)) return std::nullopt;
  if (!absl::SimpleAtoi(ends.back(), &range.last)) return std::nullopt;
  return range;
}

absl::Status CheckRange(absl::string_view part, const char* what, const Range& range, int32_t first,
                        int32_t last) {
  if (range.first > range.last) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", part, "\" has ", what, " from ", range.first, " to ", range.last));
  }
  if (range.first >= first && range.last <= last) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", part, "\" is outside the model: it has ", what, " ", first, " to ", last));
}

absl::Status InsertPart(absl::string_view part, const ExpertGrid& grid, ExpertSet& experts) {
  const std::vector<std::string> halves = absl::StrSplit(part, ':');
  std::optional<Range> layers, chosen;
  if (halves.size() == 2) {
    layers = ParseRange(halves[0]);
    chosen = ParseRange(halves[1]);
  }
  if (!layers.has_value() || !chosen.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", part, "\" is not LAYER:EXPERT, each a number or a range such as 0-15"));
  }
  RETURN_IF_ERROR(
      CheckRange(part, "layers", *layers, grid.first_layer, grid.first_layer + grid.layers - 1));
  RETURN_IF_ERROR(CheckRange(part, "experts", *chosen, 0, grid.experts - 1));
  for (int32_t layer = layers->first; layer <= layers->last; ++layer) {
    for (int32_t expert = chosen->first; expert <= chosen->last; ++expert) {
      experts.Insert(layer, expert);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ExpertSet> ParseExpertList(absl::string_view text, const ExpertGrid& grid) {
  ExpertSet experts(grid);
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    RETURN_IF_ERROR(InsertPart(part, grid, experts));
  }
  return experts;
}

}  // namespace expertmesh
