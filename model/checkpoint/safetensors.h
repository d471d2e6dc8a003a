// safetensors.h: the header of a safetensors file, as a pure function of its bytes.
//
// The file: 8 bytes with the header's length N (little-endian), N bytes of JSON, then the data.
//   {"__metadata__": {"format": "pt"}, "model.norm.weight": {"dtype": "BF16", "shape": [2048],
//    "data_offsets": [0, 4096]}, ...}
// data_offsets count from the end of the header. Spaces may pad the JSON at its end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace expertmesh {

inline constexpr uint64_t kSafetensorsPrefixBytes = 8;
inline constexpr uint64_t kSafetensorsJsonBytesMax = 100'000'000;  // the format's own limit

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // as spelled: "BF16"; of the dtypes that the format knows
  std::vector<int64_t> shape;
  uint64_t offset = 0;  // of the first byte, in the file
  uint64_t bytes = 0;   // the shape's product times the dtype's size
};

// The length of prefix and JSON together, from the file's first kSafetensorsPrefixBytes: what
// ParseSafetensorsHeader needs. `prefix` may be shorter, if the file is.
// Errors  INVALID_ARGUMENT: the length is not possible in a file of `file_bytes`.
absl::StatusOr<uint64_t> SafetensorsHeaderBytes(absl::string_view prefix, uint64_t file_bytes);

// The tensors, in the order of their data. `head` is the beginning of the file, at least as much as
// SafetensorsHeaderBytes says. What is returned lies within the file: data neither overlaps nor
// leaves a gap, from the header to the file's last byte (as the format demands; whatever breaks it
// is a damaged or a truncated file).
// Errors  INVALID_ARGUMENT: the tensor and field, what was found, what was expected.
absl::StatusOr<std::vector<SafetensorsEntry>> ParseSafetensorsHeader(absl::string_view head,
                                                                     uint64_t file_bytes);

}  // namespace expertmesh
