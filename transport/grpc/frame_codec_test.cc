#include "transport/grpc/frame_codec.h"

#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <string>

#include "expertmesh/v1/expert_service.pb.h"
#include "transport/wire.h"

namespace expertmesh {
namespace {

std::string Text(absl::Span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

grpc::ByteBuffer InSlices(const std::string& bytes, size_t slice_bytes) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size(); at += slice_bytes) {
    slices.emplace_back(bytes.substr(at, slice_bytes));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

std::string Flat(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  EXPECT_TRUE(buffer.DumpToSingleSlice(&slice).ok());
  return std::string(reinterpret_cast<const char*>(slice.begin()), slice.size());
}

TEST(FrameCodec, WritesWhatProtobufReadsAndReadsWhatItWrites) {
  for (size_t bytes : {1, 127, 128, 16383, 16384, 3000000}) {
    const std::string frame(bytes, 'f');
    v1::Frame message;
    ASSERT_TRUE(message.ParseFromString(Flat(WrapFrame(frame))));
    EXPECT_EQ(message.frame(), frame);
    for (size_t slice_bytes : {size_t{1} << 30, bytes / 2 + 1}) {
      grpc::ByteBuffer buffer = InSlices(message.SerializeAsString(), slice_bytes);
      auto back = UnwrapFrame(buffer);
      ASSERT_TRUE(back.ok()) << back.status();
      EXPECT_EQ(Text(back->bytes()), frame);
      EXPECT_FALSE(buffer.Valid());
    }
  }
}

TEST(FrameCodec, CopiesNothingOutOfASingleSlice) {
  grpc::Slice slice(Flat(WrapFrame(std::string(100000, 'r'))));
  grpc::ByteBuffer buffer(&slice, 1);
  auto frame = UnwrapFrame(buffer);
  ASSERT_TRUE(frame.ok());
  const auto* begin = reinterpret_cast<const uint8_t*>(frame->bytes().data());
  EXPECT_GE(begin, slice.begin());
  EXPECT_EQ(begin + 100000, slice.end());
}

TEST(FrameCodec, WrapsAMessageInOneSlice) {
  MessageHeader ping;
  ping.ping = 3;
  auto bytes = FrameBytes(ping, {});
  ASSERT_TRUE(bytes.ok());
  grpc::ByteBuffer buffer = WrapMessage(ping, {}, *bytes);
  grpc::Slice slice;
  EXPECT_TRUE(buffer.TrySingleSlice(&slice).ok());
  auto frame = UnwrapFrame(buffer);
  ASSERT_TRUE(frame.ok());
  auto message = ParseFrame(*std::move(frame));
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->header, ping);
}

TEST(FrameCodec, RefusesAllThatIsNotOneField) {
  const std::string good = Flat(WrapFrame("frame"));
  const std::string longest = "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
  for (const std::string& bad :
       {std::string(), std::string("\x0a"), good.substr(0, good.size() - 1), good + "x",
        "\x12" + good.substr(1), std::string("\x0a\x80"), longest}) {
    grpc::ByteBuffer buffer = InSlices(bad, 1024);
    EXPECT_EQ(UnwrapFrame(buffer).status().code(), absl::StatusCode::kDataLoss) << bad.size();
  }
  grpc::ByteBuffer none;
  EXPECT_FALSE(UnwrapFrame(none).ok());
}

}  // namespace
}  // namespace expertmesh
