#include "cluster/expert_set.h"

#include <bit>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/check.h"

namespace expertmesh {

ExpertSet::ExpertSet(ExpertGrid grid) : grid_(grid), bits_((grid.size() + 7) / 8, 0) {}

ExpertSet ExpertSet::Full(ExpertGrid grid) {
  ExpertSet set(grid);
  for (int64_t i = 0; i < grid.size(); ++i) set.bits_[i / 8] |= uint8_t(1u << (i % 8));
  return set;
}

int64_t ExpertSet::Index(int32_t layer, int32_t expert) const {
  if (layer < grid_.first_layer || layer >= grid_.first_layer + grid_.layers || expert < 0 ||
      expert >= grid_.experts) {
    return -1;
  }
  return int64_t{layer - grid_.first_layer} * grid_.experts + expert;
}

bool ExpertSet::Contains(int32_t layer, int32_t expert) const {
  const int64_t i = Index(layer, expert);
  return i >= 0 && (bits_[i / 8] >> (i % 8) & 1) != 0;
}

void ExpertSet::Insert(int32_t layer, int32_t expert) {
  const int64_t i = Index(layer, expert);
  CHECK(i >= 0, "an expert outside the grid");
  bits_[i / 8] |= uint8_t(1u << (i % 8));
}

void ExpertSet::InsertAll(const ExpertSet& other) {
  CHECK(grid_ == other.grid_, "sets of different grids");
  for (size_t i = 0; i < bits_.size(); ++i) bits_[i] |= other.bits_[i];
}

void ExpertSet::RemoveAll(const ExpertSet& other) {
  CHECK(grid_ == other.grid_, "sets of different grids");
  for (size_t i = 0; i < bits_.size(); ++i) bits_[i] &= uint8_t(~other.bits_[i]);
}

int64_t ExpertSet::size() const {
  int64_t count = 0;
  for (uint8_t byte : bits_) count += std::popcount(byte);
  return count;
}

std::string ExpertSet::ToBytes() const { return std::string(bits_.begin(), bits_.end()); }

absl::StatusOr<ExpertSet> ExpertSet::FromBytes(ExpertGrid grid, const std::string& bytes) {
  const int64_t expected = (grid.size() + 7) / 8;
  if (static_cast<int64_t>(bytes.size()) != expected) {
    return absl::InvalidArgumentError(absl::StrCat("expert set has ", bytes.size(), " bytes; ",
                                                   expected, " expected for ", grid.layers,
                                                   " layers of ", grid.experts));
  }
  ExpertSet set(grid);
  set.bits_.assign(bytes.begin(), bytes.end());
  if (grid.size() % 8 != 0 && (set.bits_.back() >> (grid.size() % 8)) != 0) {
    return absl::InvalidArgumentError("expert set has bits past its last expert");
  }
  return set;
}

std::string ExpertSet::LayerText(int32_t layer) const {
  std::vector<std::string> ranges;
  for (int32_t e = 0; e < grid_.experts; ++e) {
    if (!Contains(layer, e)) continue;
    int32_t last = e;
    while (last + 1 < grid_.experts && Contains(layer, last + 1)) ++last;
    ranges.push_back(e == last ? absl::StrCat(e) : absl::StrCat(e, "-", last));
    e = last;
  }
  if (ranges.size() > 8) {
    ranges.resize(8);
    ranges.push_back("...");
  }
  return absl::StrJoin(ranges, ", ");
}

bool ExpertSet::SameExperts(int32_t layer, int32_t other) const {
  for (int32_t e = 0; e < grid_.experts; ++e) {
    if (Contains(layer, e) != Contains(other, e)) return false;
  }
  return true;
}

std::string ExpertSet::ToText(int max_parts) const {
  std::vector<std::string> parts;
  const int32_t end = grid_.first_layer + grid_.layers;
  for (int32_t layer = grid_.first_layer; layer < end;) {
    const std::string experts = LayerText(layer);
    int32_t last = layer;
    while (last + 1 < end && SameExperts(layer, last + 1)) ++last;
    if (!experts.empty()) {
      if (static_cast<int>(parts.size()) == max_parts) {
        parts.push_back("...");
        break;
      }
      parts.push_back(layer == last
                          ? absl::StrCat("layer ", layer, ": experts ", experts)
                          : absl::StrCat("layers ", layer, "-", last, ": experts ", experts));
    }
    layer = last + 1;
  }
  return parts.empty() ? "none" : absl::StrJoin(parts, "; ");
}

}  // namespace expertmesh
