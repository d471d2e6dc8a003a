#include "model/checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/json_fields.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;

// Whatever the format has, since tensors that we ignore may have any of them.
struct DTypeBits {
  absl::string_view name;
  int bits;
};
constexpr std::array kDTypes = {
    DTypeBits{"F32", 32},    DTypeBits{"BF16", 16},   DTypeBits{"F16", 16},
    DTypeBits{"F64", 64},    DTypeBits{"I64", 64},    DTypeBits{"I32", 32},
    DTypeBits{"I16", 16},    DTypeBits{"I8", 8},      DTypeBits{"U64", 64},
    DTypeBits{"U32", 32},    DTypeBits{"U16", 16},    DTypeBits{"U8", 8},
    DTypeBits{"BOOL", 8},    DTypeBits{"F8_E4M3", 8}, DTypeBits{"F8_E5M2", 8},
    DTypeBits{"F8_E8M0", 8}, DTypeBits{"F6_E2M3", 6}, DTypeBits{"F6_E3M2", 6},
    DTypeBits{"F4", 4},      DTypeBits{"C64", 64},
};

absl::Status Refuse(absl::string_view tensor, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(tensor), ": ", what));
}

// A list of integers that are not negative.
absl::StatusOr<std::vector<int64_t>> ReadIntegers(absl::string_view tensor, const Json& fields,
                                                  const char* name) {
  auto list = fields.find(name);
  if (list == fields.end() || !list->is_array()) {
    return Refuse(tensor, absl::StrCat("expected a list in field ", name));
  }
  std::vector<int64_t> integers;
  for (const Json& item : *list) {
    if (!item.is_number_unsigned() ||
        item.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
      return Refuse(tensor, absl::StrCat("found ", Excerpt(item), " in field ", name,
                                         ", expected integers from 0 to 2^63 - 1"));
    }
    integers.push_back(item.get<int64_t>());
  }
  return integers;
}

// The bytes that the shape takes.
absl::StatusOr<uint64_t> ShapeBytes(const SafetensorsEntry& entry) {
  auto dtype = std::find_if(kDTypes.begin(), kDTypes.end(),
                            [&](const DTypeBits& d) { return d.name == entry.dtype; });
  if (dtype == kDTypes.end()) {
    return Refuse(entry.name, absl::StrCat("found dtype ", Quote(entry.dtype),
                                           ", expected one of the format's, such as BF16"));
  }
  uint64_t bits = static_cast<uint64_t>(dtype->bits);
  bool overflow = false;
  for (int64_t size : entry.shape) {
    overflow |= __builtin_mul_overflow(bits, static_cast<uint64_t>(size), &bits);
  }
  if (overflow || bits % 8 != 0) {
    return Refuse(entry.name, overflow ? "the shape's product overflows 64 bits"
                                       : "the shape does not fill whole bytes");
  }
  return bits / 8;
}

absl::StatusOr<SafetensorsEntry> ReadEntry(const std::string& name, const Json& value,
                                           uint64_t data_begin, uint64_t file_bytes) {
  if (!value.is_object()) {
    return Refuse(name, absl::StrCat("found ", Excerpt(value), ", expected an object"));
  }
  SafetensorsEntry entry{.name = name};
  auto dtype = value.find("dtype");
  if (dtype == value.end() || !dtype->is_string()) {
    return Refuse(name, "expected a string in field dtype");
  }
  entry.dtype = dtype->get<std::string>();
  ASSIGN_OR_RETURN(entry.shape, ReadIntegers(name, value, "shape"));
  ASSIGN_OR_RETURN(const std::vector<int64_t> offsets, ReadIntegers(name, value, "data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    return Refuse(name, "expected data_offsets of a begin and an end not before it");
  }
  const uint64_t data_bytes = file_bytes - data_begin;
  if (static_cast<uint64_t>(offsets[1]) > data_bytes) {
    return Refuse(name, absl::StrCat("found data_offsets up to ", offsets[1],
                                     ", expected at most the file's ", data_bytes,
                                     " bytes of data (is the file cut off?)"));
  }
  entry.offset = data_begin + static_cast<uint64_t>(offsets[0]);
  entry.bytes = static_cast<uint64_t>(offsets[1] - offsets[0]);
  ASSIGN_OR_RETURN(const uint64_t expected, ShapeBytes(entry));
  if (entry.bytes != expected) {
    return Refuse(name, absl::StrCat("found data_offsets of ", entry.bytes, " bytes, expected ",
                                     expected, " from dtype and shape"));
  }
  return entry;
}

absl::Status CheckMetadata(const Json& metadata) {
  bool strings = metadata.is_object();
  for (auto item = metadata.begin(); strings && item != metadata.end(); ++item) {
    strings = item->is_string();
  }
  if (strings) return absl::OkStatus();
  return absl::InvalidArgumentError("field __metadata__: expected an object of strings");
}

// Entries are in the order of their data.
absl::Status CheckContiguous(const std::vector<SafetensorsEntry>& entries, uint64_t data_begin,
                             uint64_t file_bytes) {
  uint64_t end = data_begin;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.offset != end) {
      return Refuse(entry.name, absl::StrCat("data begins at byte ", entry.offset,
                                             " of the file, expected ", end,
                                             entry.offset < end ? " (overlaps the tensor before it)"
                                                                : " (a gap before it)"));
    }
    end += entry.bytes;
  }
  if (end != file_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the tensors end at byte ", end, ", but the file has ", file_bytes, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint64_t> SafetensorsHeaderBytes(absl::string_view prefix, uint64_t file_bytes) {
  if (file_bytes < kSafetensorsPrefixBytes || prefix.size() < kSafetensorsPrefixBytes) {
    return absl::InvalidArgumentError(absl::StrCat("not safetensors: found ", file_bytes,
                                                   " bytes, expected at least ",
                                                   kSafetensorsPrefixBytes));
  }
  uint64_t json_bytes = 0;
  for (uint64_t i = 0; i < kSafetensorsPrefixBytes; ++i) {
    json_bytes |= uint64_t{static_cast<unsigned char>(prefix[i])} << (8 * i);
  }
  const uint64_t max = std::min(kSafetensorsJsonBytesMax, file_bytes - kSafetensorsPrefixBytes);
  if (json_bytes > max) {
    return absl::InvalidArgumentError(absl::StrCat("not safetensors: found a header length of ",
                                                   json_bytes, ", expected at most ", max));
  }
  return kSafetensorsPrefixBytes + json_bytes;
}

absl::StatusOr<std::vector<SafetensorsEntry>> ParseSafetensorsHeader(absl::string_view head,
                                                                     uint64_t file_bytes) {
  ASSIGN_OR_RETURN(const uint64_t data_begin, SafetensorsHeaderBytes(head, file_bytes));
  if (head.size() < data_begin) {
    return absl::InvalidArgumentError(
        absl::StrCat("found ", head.size(), " bytes of header, expected ", data_begin));
  }
  absl::StatusOr<Json> json =
      ParseJsonObject(head.substr(kSafetensorsPrefixBytes, data_begin - kSafetensorsPrefixBytes));
  if (!json.ok()) return Annotate(json.status(), "header");

  std::vector<SafetensorsEntry> entries;
  for (auto item = json->begin(); item != json->end(); ++item) {
    if (item.key() == "__metadata__") {
      RETURN_IF_ERROR(CheckMetadata(*item));
      continue;
    }
    ASSIGN_OR_RETURN(SafetensorsEntry entry, ReadEntry(item.key(), *item, data_begin, file_bytes));
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.offset, a.bytes) < std::tie(b.offset, b.bytes);
  });
  RETURN_IF_ERROR(CheckContiguous(entries, data_begin, file_bytes));
  return entries;
}

}  // namespace expertmesh
