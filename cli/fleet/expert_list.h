// expert_list.h: experts as an operator types them.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cluster/expert_set.h"

namespace expertmesh {

// "3:0-15,4:7": experts 0 to 15 of layer 3 and expert 7 of layer 4; "1-3:5": expert 5 of each of
// these layers. Numbers are the model's.
// Errors  INVALID_ARGUMENT: names the part, and the bounds that it breaks.
absl::StatusOr<ExpertSet> ParseExpertList(absl::string_view text, const ExpertGrid& grid);

}  // namespace expertmesh
