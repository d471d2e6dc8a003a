// wire_bytes.h: little-endian integers and bounded text, byte by byte. For wire.cc and its tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace expertmesh {

// Writes to memory that the caller has measured.
class ByteWriter {
 public:
  explicit ByteWriter(std::byte* out) : out_(out) {}

  void U8(uint8_t value) { Little(value, 1); }
  void U16(uint16_t value) { Little(value, 2); }
  void U32(uint32_t value) { Little(value, 4); }
  void U64(uint64_t value) { Little(value, 8); }
  // Length u16, then the bytes.
  void Text(absl::string_view text) {
    U16(static_cast<uint16_t>(text.size()));
    if (!text.empty()) std::memcpy(out_, text.data(), text.size());
    out_ += text.size();
  }
  std::byte* at() const { return out_; }

 private:
  void Little(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) *out_++ = static_cast<std::byte>(value >> (8 * i));
  }

  std::byte* out_;
};

// Reads what a peer wrote. Past the end it gives zeros and ok() is false from then on: check it
// once, after a group of fields and before any of them is used.
class ByteReader {
 public:
  explicit ByteReader(absl::Span<const std::byte> bytes) : bytes_(bytes) {}

  uint8_t U8() { return static_cast<uint8_t>(Little(1)); }
  uint16_t U16() { return static_cast<uint16_t>(Little(2)); }
  uint32_t U32() { return static_cast<uint32_t>(Little(4)); }
  uint64_t U64() { return Little(8); }
  std::string Text() {
    const size_t size = U16();
    if (size > bytes_.size()) ok_ = false;
    if (!ok_ || size == 0) return {};
    std::string text(reinterpret_cast<const char*>(bytes_.data()), size);
    bytes_.remove_prefix(size);
    return text;
  }
  bool ok() const { return ok_; }
  size_t left() const { return bytes_.size(); }

 private:
  uint64_t Little(size_t count) {
    if (count > bytes_.size()) ok_ = false;
    if (!ok_) return 0;
    uint64_t value = 0;
    for (size_t i = 0; i < count; ++i)
      value |= uint64_t{static_cast<uint8_t>(bytes_[i])} << (8 * i);
    bytes_.remove_prefix(count);
    return value;
  }

  absl::Span<const std::byte> bytes_;
  bool ok_ = true;
};

}  // namespace expertmesh
