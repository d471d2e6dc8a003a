// Hostile safetensors files: whatever the header says, what is read lies within the file, once.
//
// The input is read twice: as a whole file; and, so that a search need not keep the prefix true, as
// the data's length (8 bytes, little-endian) and the header's JSON.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/check.h"
#include "model/checkpoint/safetensors.h"

namespace expertmesh {
namespace {

uint64_t LittleEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  return value;
}

std::string Prefix(uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(length >> (8 * i)));
  return bytes;
}

void ParseHostile(absl::string_view head, uint64_t file_bytes) {
  const absl::StatusOr<uint64_t> header_bytes = SafetensorsHeaderBytes(head, file_bytes);
  const auto entries = ParseSafetensorsHeader(head, file_bytes);
  for (const absl::Status& status : {header_bytes.status(), entries.status()}) {
    CHECK(status.ok() || absl::IsInvalidArgument(status), "a file is refused as one");
  }
  if (!entries.ok()) return;
  CHECK(header_bytes.ok() && *header_bytes <= file_bytes, "a header that lies within its file");
  uint64_t end = *header_bytes;
  for (const SafetensorsEntry& entry : *entries) {
    CHECK(entry.offset == end, "data neither overlap nor leave a gap");
    CHECK(entry.bytes <= file_bytes - end, "data lie within the file");
    end += entry.bytes;
    bool empty = false;
    for (int64_t size : entry.shape) {
      CHECK(size >= 0, "no dimension is negative");
      empty = empty || size == 0;
    }
    CHECK((entry.bytes == 0) == empty, "only an empty tensor has no data");
  }
  CHECK(end == file_bytes, "data fill the file");
}

void ReadHostile(absl::string_view input) {
  ParseHostile(input, input.size());
  if (input.size() < 8) return;
  const uint64_t data_bytes = LittleEndian(input);
  const absl::string_view json = input.substr(8);
  if (data_bytes > std::numeric_limits<uint64_t>::max() - input.size()) return;
  ParseHostile(absl::StrCat(Prefix(json.size()), json), input.size() + data_bytes);
}

}  // namespace
}  // namespace expertmesh

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  expertmesh::ReadHostile(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
