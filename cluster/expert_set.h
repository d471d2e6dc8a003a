// expert_set.h: which routed experts of which layers: a set of (layer, expert).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace expertmesh {

// The model's grid of routed experts: layers [first_layer, first_layer + layers) have them.
struct ExpertGrid {
  int32_t first_layer = 0;
  int32_t layers = 0;   // 0: the model has no routed experts
  int32_t experts = 0;  // per layer
  bool operator==(const ExpertGrid&) const = default;
  int64_t size() const { return int64_t{layers} * experts; }
};

// A subset of one grid. Layer numbers are the model's.
class ExpertSet {
 public:
  ExpertSet() = default;
  explicit ExpertSet(ExpertGrid grid);
  static ExpertSet Full(ExpertGrid grid);

  const ExpertGrid& grid() const { return grid_; }
  bool Contains(int32_t layer, int32_t expert) const;
  void Insert(int32_t layer, int32_t expert);
  void InsertAll(const ExpertSet& other);  // same grid
  void RemoveAll(const ExpertSet& other);  // same grid
  int64_t size() const;
  bool empty() const { return size() == 0; }
  bool operator==(const ExpertSet&) const = default;

  // One bit per (layer, expert), layer by layer, least significant bit first: the wire's form.
  std::string ToBytes() const;
  // Errors  INVALID_ARGUMENT: another length than the grid's, or bits past its end.
  static absl::StatusOr<ExpertSet> FromBytes(ExpertGrid grid, const std::string& bytes);

  // "layers 1-26: experts 0-15, 40; layer 3: ..." at most `max_parts` parts, then "...".
  std::string ToText(int max_parts = 4) const;

 private:
  int64_t Index(int32_t layer, int32_t expert) const;
  std::string LayerText(int32_t layer) const;
  bool SameExperts(int32_t layer, int32_t other) const;

  ExpertGrid grid_;
  std::vector<uint8_t> bits_;
};

}  // namespace expertmesh
