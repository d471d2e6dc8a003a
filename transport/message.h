// message.h: what goes from worker to worker, as values: header, body, and a received message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "common/dtype.h"
#include "common/ids.h"

namespace expertmesh {

enum class MessageKind : uint8_t {
  kDispatch = 1,  // rows and which expert each goes to; attention -> expert
  kCombine = 2,   // one row per (token, expert) of one dispatch; expert -> attention
  kPing = 3,      // say that you live, and which of my calls you have
  kPong = 4,
  kNotHere = 5,  // a dispatch asked for experts that are not held here: none of it was run
};

// Who goes first when both wait.
enum class Lane : uint8_t { kControl = 1, kDecode = 2, kPrefill = 3 };

// One (row of the message, expert of the layer).
struct Assignment {
  uint32_t row = 0;
  uint32_t expert = 0;
  bool operator==(const Assignment&) const = default;
};

struct MessageHeader {
  MessageKind kind = MessageKind::kPing;
  Lane lane = Lane::kControl;
  DType dtype = DType::kF32;  // of the rows; the fleet's wire dtype
  CallId call;                // dispatch: the sender's; combine, not here: the dispatch's, echoed
  // dispatch: of the topology by which it was routed; not here: by which the answerer works
  Epoch epoch;
  uint64_t ping = 0;          // ping: its number; pong: the ping's
  uint32_t layer = 0;         // dispatch, combine, not here
  uint32_t rows = 0;          // rows in the body
  uint32_t row_elements = 0;  // elements of one row; 0 without rows
  bool operator==(const MessageHeader&) const = default;
};

// Rows to send, picked out of a matrix of the sender: row i of the body is the `row_bytes` bytes at
// base + index[i] * stride_bytes; without an index, row i is at base + i * stride_bytes.
struct RowsView {
  const std::byte* base = nullptr;
  size_t stride_bytes = 0;
  size_t row_bytes = 0;
  size_t rows = 0;
  absl::Span<const uint32_t> index;

  const std::byte* row(size_t i) const {
    return base + (index.empty() ? i : size_t{index[i]}) * stride_bytes;
  }
};

// What goes out with a header. Small lists are copied by Send; rows are read until `sent`.
struct Body {
  absl::Span<const Assignment> assignments;  // dispatch
  // pong: sequences of the receiver's calls in hand; not here: which experts, each once
  absl::Span<const uint64_t> numbers;
  RowsView rows;  // dispatch, combine
};

// Bytes that came in, owned until destroyed. Rows lie in it one after the other, without padding,
// and at no particular alignment: read them with memcpy.
class Payload {
 public:
  using Release = void (*)(void* context);

  Payload() = default;
  Payload(absl::Span<const std::byte> bytes, void* context, Release release)
      : bytes_(bytes), context_(context), release_(release) {}
  // A payload that owns a vector.
  explicit Payload(std::vector<std::byte> bytes);
  ~Payload() { Reset(); }
  Payload(Payload&& other) noexcept { *this = std::move(other); }
  Payload& operator=(Payload&& other) noexcept {
    if (this != &other) {
      Reset();
      bytes_ = std::exchange(other.bytes_, {});
      context_ = std::exchange(other.context_, nullptr);
      release_ = std::exchange(other.release_, nullptr);
    }
    return *this;
  }

  absl::Span<const std::byte> bytes() const { return bytes_; }

  // Leaves only the bytes from `count` on to be seen; all of them stay owned.
  void RemovePrefix(size_t count) { bytes_.remove_prefix(count); }

 private:
  void Reset() {
    if (release_ != nullptr) release_(context_);
    release_ = nullptr;
    bytes_ = {};
  }

  absl::Span<const std::byte> bytes_;
  void* context_ = nullptr;
  Release release_ = nullptr;
};

// One message as its receiver gets it: checked by wire.h, so that rows.bytes() has exactly
// header.rows * header.row_elements elements and each assignment names one of those rows.
struct Message {
  MessageHeader header;
  std::vector<Assignment> assignments;
  std::vector<uint64_t> numbers;
  Payload rows;
};

// Limits on one message: what wire.h refuses beyond.
inline constexpr uint32_t kMaxRowsPerMessage = 16384;
inline constexpr uint32_t kMaxAssignmentsPerMessage = 1u << 18;
inline constexpr uint32_t kMaxRowElements = 65536;
inline constexpr uint32_t kMaxNumbersPerMessage = 1024;
inline constexpr size_t kMaxFrameBytes = size_t{256} << 20;

}  // namespace expertmesh
