#include "transport/grpc/frame_codec.h"

#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "transport/wire.h"

namespace expertmesh {
namespace {

constexpr uint8_t kFrameTag = 0x0a;  // field 1, length-delimited

size_t VarintBytes(size_t value) {
  size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

// A slice for a frame of so many bytes, tag and length written; `frame` is where it goes.
grpc::Slice NewSlice(size_t frame_bytes, std::byte** frame) {
  grpc::Slice slice(1 + VarintBytes(frame_bytes) + frame_bytes);
  auto* out = const_cast<uint8_t*>(slice.begin());  // nobody else has seen it yet
  *out++ = kFrameTag;
  size_t rest = frame_bytes;
  for (; rest >= 0x80; rest >>= 7) *out++ = static_cast<uint8_t>(rest | 0x80);
  *out++ = static_cast<uint8_t>(rest);
  *frame = reinterpret_cast<std::byte*>(out);
  return slice;
}

// Bytes before the frame; 0 when what follows is not one whole field.
size_t PrefixOf(absl::Span<const uint8_t> message) {
  if (message.empty() || message[0] != kFrameTag) return 0;
  uint64_t length = 0;
  for (size_t i = 0; i < 5 && i + 1 < message.size(); ++i) {
    const uint8_t byte = message[i + 1];
    length |= uint64_t{byte & 0x7fu} << (7 * i);
    if (byte < 0x80) return length == message.size() - (i + 2) ? i + 2 : 0;
  }
  return 0;
}

}  // namespace

grpc::ByteBuffer WrapMessage(const MessageHeader& header, const Body& body, size_t frame_bytes) {
  std::byte* frame = nullptr;
  grpc::Slice slice = NewSlice(frame_bytes, &frame);
  WriteFrame(header, body, frame);
  return grpc::ByteBuffer(&slice, 1);
}

grpc::ByteBuffer WrapFrame(absl::string_view frame) {
  std::byte* out = nullptr;
  grpc::Slice slice = NewSlice(frame.size(), &out);
  std::memcpy(out, frame.data(), frame.size());
  return grpc::ByteBuffer(&slice, 1);
}

absl::StatusOr<Payload> UnwrapFrame(grpc::ByteBuffer& buffer) {
  auto slice = std::make_unique<grpc::Slice>();
  const size_t bytes = buffer.Length();
  const bool whole = buffer.Valid() && (buffer.TrySingleSlice(slice.get()).ok() ||
                                        buffer.DumpToSingleSlice(slice.get()).ok());
  buffer.Clear();
  const size_t prefix = whole ? PrefixOf(absl::MakeConstSpan(slice->begin(), slice->size())) : 0;
  if (prefix == 0) {
    return absl::DataLossError(
        absl::StrCat("a message of ", bytes, " bytes is not one expertmesh.v1.Frame"));
  }
  const auto* begin = reinterpret_cast<const std::byte*>(slice->begin());
  Payload frame(absl::MakeConstSpan(begin, slice->size()), slice.get(),
                [](void* held) { delete static_cast<grpc::Slice*>(held); });
  slice.release();
  frame.RemovePrefix(prefix);
  return frame;
}

}  // namespace expertmesh
