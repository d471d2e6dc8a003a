#include "transport/wire.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <random>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "transport/wire_bytes.h"
#include "transport/wire_envelope.h"

namespace expertmesh {
namespace {

using Bytes = std::vector<std::byte>;

Bytes ToBytes(const std::string& text) {
  Bytes bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

std::string Hex(absl::Span<const std::byte> bytes) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

Bytes Write(const MessageHeader& header, const Body& body) {
  auto size = FrameBytes(header, body);
  EXPECT_TRUE(size.ok()) << size.status();
  Bytes frame(*size);
  WriteFrame(header, body, frame.data());
  return frame;
}

absl::StatusOr<Message> Parse(Bytes frame) { return ParseFrame(Payload(std::move(frame))); }

// Repairs the checksum after a change, so that the checks behind it are reached.
void Seal(Bytes& frame) {
  ByteReader in(frame);
  in.U32();
  Envelope envelope;
  envelope.version = in.U16();
  envelope.kind = in.U8();
  envelope.lane = in.U8();
  envelope.header_bytes = in.U32();
  envelope.body_bytes = in.U64();
  WriteEnvelope(envelope, frame.data());
}

void Put32(Bytes& frame, size_t at, uint32_t value) { ByteWriter(frame.data() + at).U32(value); }

MessageHeader Dispatch(uint32_t rows, uint32_t elements, DType dtype = DType::kF32) {
  MessageHeader header;
  header.kind = MessageKind::kDispatch;
  header.lane = Lane::kDecode;
  header.dtype = dtype;
  header.call = {{3, 5}, 1042};
  header.epoch = {3, 17};
  header.layer = 26;
  header.rows = rows;
  header.row_elements = elements;
  return header;
}

RowsView View(const std::vector<float>& values, uint32_t rows, uint32_t elements) {
  return {
      reinterpret_cast<const std::byte*>(values.data()), elements * 4u, elements * 4u, rows, {}};
}

// The message of the worked example in docs/wire.md.
Bytes ExampleFrame() {
  static const std::vector<float> values = {1.0f, -2.5f};
  static const std::vector<Assignment> assignments = {{0, 7}, {0, 40}};
  return Write(Dispatch(1, 2), {assignments, {}, View(values, 1, 2)});
}

Hello ExampleHello() {
  Hello hello;
  hello.name = "a0";
  hello.role = WorkerRole::kAttention;
  hello.incarnation = {3, 5};
  hello.model = {0x0123456789abcdef, 0xfedcba9876543210};
  hello.compute_class = {"cpu-f32", 0x9f86d081884c7d65};
  hello.hidden = 2048;
  return hello;
}

TEST(Wire, GivesBackADispatchBitByBit) {
  std::mt19937_64 random(1);
  for (DType dtype : {DType::kF32, DType::kBf16, DType::kF16}) {
    const uint32_t rows = 5, elements = 9;
    const size_t row_bytes = elements * SizeOf(dtype);
    Bytes matrix(8 * 64);
    for (std::byte& b : matrix) b = static_cast<std::byte>(random());
    const std::vector<uint32_t> index = {7, 0, 3, 3, 1};
    const std::vector<Assignment> assignments = {{0, 1}, {4, 159}, {0, 1}, {2, 0}};
    const MessageHeader header = Dispatch(rows, elements, dtype);
    auto message =
        Parse(Write(header, {assignments, {}, {matrix.data(), 64, row_bytes, rows, index}}));
    ASSERT_TRUE(message.ok()) << message.status();
    EXPECT_EQ(message->header, header);
    EXPECT_EQ(message->assignments, assignments);
    ASSERT_EQ(message->rows.bytes().size(), rows * row_bytes);
    for (uint32_t r = 0; r < rows; ++r) {
      EXPECT_EQ(0, std::memcmp(message->rows.bytes().data() + r * row_bytes,
                               matrix.data() + index[r] * 64, row_bytes));
    }
  }
}

TEST(Wire, GivesBackPingsPongsAndMessagesWithoutRows) {
  MessageHeader ping;
  ping.ping = ~uint64_t{0};
  auto parsed = Parse(Write(ping, {}));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->header, ping);

  MessageHeader pong;
  pong.kind = MessageKind::kPong;
  const std::vector<uint64_t> numbers = {1, ~uint64_t{0}, 7};
  parsed = Parse(Write(pong, {{}, numbers, {}}));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->numbers, numbers);

  MessageHeader absent;
  absent.kind = MessageKind::kNotHere;
  absent.call = {{3, 5}, 1042};
  absent.epoch = {3, 18};
  absent.layer = 26;
  parsed = Parse(Write(absent, {{}, numbers, {}}));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->header, absent);
  EXPECT_EQ(parsed->numbers, numbers);

  parsed = Parse(Write(Dispatch(0, 0), {}));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_TRUE(parsed->rows.bytes().empty());
}

void ExpectRefused(const MessageHeader& header, const Body& body, absl::string_view text) {
  auto size = FrameBytes(header, body);
  ASSERT_FALSE(size.ok()) << text;
  EXPECT_EQ(size.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(size.status().message(), text)) << size.status();
}

TEST(Wire, TakesTheLargestAndRefusesOneMoreByName) {
  const std::byte one{};
  auto rows = [&](size_t n, size_t bytes) { return RowsView{&one, 0, bytes, n, {}}; };
  const std::vector<Assignment> most(kMaxAssignmentsPerMessage);
  const std::vector<Assignment> more(kMaxAssignmentsPerMessage + 1);
  const std::vector<uint64_t> numbers(kMaxNumbersPerMessage + 1);
  MessageHeader pong;
  pong.kind = MessageKind::kPong;

  EXPECT_TRUE(
      FrameBytes(Dispatch(kMaxRowsPerMessage, 1), {most, {}, rows(kMaxRowsPerMessage, 4)}).ok());
  EXPECT_TRUE(
      FrameBytes(Dispatch(1, kMaxRowElements), {{}, {}, rows(1, kMaxRowElements * 4)}).ok());
  EXPECT_TRUE(FrameBytes(pong, {{}, absl::MakeSpan(numbers).subspan(1), {}}).ok());

  ExpectRefused(Dispatch(kMaxRowsPerMessage + 1, 1), {{}, {}, rows(kMaxRowsPerMessage + 1, 4)},
                "rows: 16385, at most 16384");
  ExpectRefused(Dispatch(1, kMaxRowElements + 1), {{}, {}, rows(1, (kMaxRowElements + 1) * 4)},
                "row_elements: 65537, at most 65536");
  ExpectRefused(Dispatch(1, 1), {more, {}, rows(1, 4)}, "assignments: 262145, at most 262144");
  ExpectRefused(pong, {{}, numbers, {}}, "numbers: 1025, at most 1024");
  // 16384 rows of 4096 f32 are 256 MiB already.
  ExpectRefused(Dispatch(16384, 4096), {{}, {}, rows(16384, 16384)}, "frame bytes: 268435556");
}

TEST(Wire, RefusesWhatAKindDoesNotHaveAndRowsThatDoNotFitTheHeader) {
  const std::vector<float> values(8);
  const std::vector<Assignment> assignments = {{1, 0}};
  const std::vector<uint64_t> numbers = {1};
  MessageHeader ping;
  ExpectRefused(ping, {assignments, {}, {}}, "assignments: only a dispatch");
  ExpectRefused(ping, {{}, numbers, {}}, "numbers: only a pong or a not-here has them");
  ping.rows = 1;
  ping.row_elements = 2;
  ExpectRefused(ping, {{}, {}, View(values, 1, 2)}, "rows: only a dispatch or a combine");
  ExpectRefused(Dispatch(1, 2), {assignments, {}, View(values, 1, 2)},
                "assignments[0].row: 1, the message has 1 rows");
  ExpectRefused(Dispatch(2, 2), {{}, {}, View(values, 1, 2)}, "header says 2, the body has 1");
  ExpectRefused(Dispatch(1, 3), {{}, {}, View(values, 1, 2)}, "row_bytes: 8, 3 elements of f32");
  ExpectRefused(Dispatch(0, 3), {}, "row_elements: 3 with rows 0");
  MessageHeader odd = Dispatch(0, 0);
  odd.kind = static_cast<MessageKind>(6);
  ExpectRefused(odd, {}, "kind: 6");
  odd = Dispatch(0, 0);
  odd.lane = static_cast<Lane>(0);
  ExpectRefused(odd, {}, "lane: 0");
  odd = Dispatch(0, 0);
  odd.dtype = static_cast<DType>(9);
  ExpectRefused(odd, {}, "dtype: 9");
}

// A frame whose checksum is right and whose content is not.
void ExpectMalformed(Bytes frame, absl::string_view text) {
  Seal(frame);
  auto message = Parse(std::move(frame));
  ASSERT_FALSE(message.ok()) << text;
  EXPECT_EQ(message.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(message.status().message(), text)) << message.status();
}

TEST(Wire, ParserNamesTheFieldOfASealedButMalformedFrame) {
  constexpr size_t kLayer = kEnvelopeBytes + 48;
  auto with = [](size_t at, uint32_t value) {
    Bytes frame = ExampleFrame();
    Put32(frame, at, value);
    return frame;
  };
  ExpectMalformed(with(kLayer + 4, kMaxRowsPerMessage + 1), "rows: 16385");
  ExpectMalformed(with(kLayer + 4, 2), "body bytes: 24, the header's counts make 32");
  ExpectMalformed(with(kLayer + 8, kMaxRowElements + 1), "row_elements: 65537");
  ExpectMalformed(with(kLayer + 12, ~0u), "assignments: 4294967295");
  ExpectMalformed(with(kLayer + 12, 1), "body bytes");
  ExpectMalformed(with(kLayer + 16, 1), "numbers: only a pong or a not-here has them");
  ExpectMalformed(with(kLayer + 20, 0), "dtype: 0");
  ExpectMalformed(with(kLayer + 20, 0x0101), "reserved: 1");
  ExpectMalformed(with(kEnvelopeBytes + 72, 1), "assignments[0].row: 1");
  ExpectMalformed(with(4, 0x02010002), "wire version: 2");
  ExpectMalformed(with(4, 0x02060001), "kind: 6");
  ExpectMalformed(with(4, 0x04010001), "lane: 4");
}

TEST(Wire, ParserRefusesLengthsBeyondTheFrame) {
  for (size_t size = 0; size < ExampleFrame().size(); ++size) {
    Bytes frame = ExampleFrame();
    frame.resize(size);
    EXPECT_EQ(Parse(frame).status().code(), absl::StatusCode::kDataLoss) << size;
  }
  Bytes frame = ExampleFrame();
  Put32(frame, 8, ~0u);
  EXPECT_EQ(Parse(frame).status().code(), absl::StatusCode::kDataLoss);
  frame = ExampleFrame();
  Put32(frame, 16, ~0u);  // the upper half of the body's length: sums must not wrap
  EXPECT_EQ(Parse(frame).status().code(), absl::StatusCode::kDataLoss);
  // A hidden header of another length, sealed.
  frame = ExampleFrame();
  Put32(frame, 8, 71);
  Put32(frame, 12, 25);
  ExpectMalformed(frame, "header bytes: 71");
}

Bytes Mutate(Bytes frame, std::mt19937_64& random) {
  const int changes = 1 + random() % 3;
  for (int i = 0; i < changes; ++i) {
    switch (frame.empty() ? 3 : random() % 5) {
      case 0:
        frame[random() % frame.size()] ^= static_cast<std::byte>(1u << (random() % 8));
        break;
      case 1:
        frame[random() % frame.size()] = static_cast<std::byte>(random());
        break;
      case 2:
        frame.resize(random() % frame.size());
        break;
      case 3:
        frame.resize(frame.size() + 1 + random() % 16, static_cast<std::byte>(random()));
        break;
      case 4: {  // a whole word, often at a limit
        const uint32_t words[] = {0, 1, 0x7fffffff, ~0u, kMaxRowsPerMessage, 1u << 18};
        if (frame.size() >= 4) Put32(frame, random() % (frame.size() - 3), words[random() % 6]);
        break;
      }
    }
  }
  return frame;
}

void Touch(const Message& message) {
  for (const Assignment& a : message.assignments) ASSERT_LT(a.row, message.header.rows);
  ASSERT_EQ(message.rows.bytes().size(), size_t{message.header.rows} * message.header.row_elements *
                                             SizeOf(message.header.dtype));
  unsigned sum = 0;
  for (std::byte b : message.rows.bytes()) sum += static_cast<unsigned>(b);
  volatile unsigned keep = sum;
  (void)keep;
}

TEST(Wire, SurvivesMutationsAndAcceptsNoneThatChangedABit) {
  constexpr uint64_t kSeed = 20250101;
  SCOPED_TRACE(absl::StrCat("seed ", kSeed));
  std::mt19937_64 random(kSeed);
  MessageHeader pong;
  pong.kind = MessageKind::kPong;
  const std::vector<uint64_t> numbers = {1, 2, 3};
  const std::vector<Bytes> valid = {
      ExampleFrame(), Write(MessageHeader(), {}), Write(pong, {{}, numbers, {}}),
      ToBytes(WriteHello(ExampleHello())), ToBytes(WriteRefusal(absl::InternalError("no")))};
  for (int i = 0; i < 100000; ++i) {
    const Bytes& original = valid[random() % valid.size()];
    Bytes frame = Mutate(original, random);
    const bool changed = frame != original;
    if (changed) {  // as it came: some bit of envelope, header or body is not what was summed
      ASSERT_FALSE(Parse(frame).ok()) << Hex(frame);
      ASSERT_FALSE(ParseHandshake(frame).ok()) << Hex(frame);
      ASSERT_FALSE(ParseEnvelope(frame).ok()) << Hex(frame);
    }
    if (frame.size() < kEnvelopeBytes) continue;
    // Sealed again, with lengths that fit: now the checks behind the checksum are on their own.
    const uint64_t header =
        std::min<uint64_t>(original.size() - kEnvelopeBytes, frame.size() - kEnvelopeBytes);
    Put32(frame, 8, random() % 4 == 0 ? static_cast<uint32_t>(header) : 72);
    const uint32_t stated = static_cast<uint32_t>(frame[8]);
    if (stated > frame.size() - kEnvelopeBytes) continue;
    ByteWriter(frame.data() + 12).U64(frame.size() - kEnvelopeBytes - stated);
    Put32(frame, 0, kFrameMagic);
    Seal(frame);
    auto message = Parse(frame);
    if (message.ok()) Touch(*message);
    (void)ParseHandshake(frame);
  }
}

TEST(WireHandshake, GivesBackAHello) {
  Hello hello = ExampleHello();
  hello.name = std::string(kMaxNameBytes, 'n');
  hello.wire_dtype = DType::kBf16;
  Bytes frame = ToBytes(WriteHello(hello));
  EXPECT_EQ(SortOf(frame), FrameSort::kHello);
  EXPECT_EQ(SortOf(ExampleFrame()), FrameSort::kMessage);
  auto parsed = ParseHandshake(frame);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, hello);
}

TEST(WireHandshake, ReadsAHelloOfALaterVersionSoThatItCanBeRefusedByName) {
  Hello later = ExampleHello();
  later.wire_version = 2;
  later.wire_dtype = static_cast<DType>(77);  // say, a type that version 2 brings
  Bytes frame = ToBytes(WriteHello(later));
  frame.resize(frame.size() + 5);  // and fields that we do not know
  Put32(frame, 8, static_cast<uint32_t>(frame.size() - kEnvelopeBytes));
  Seal(frame);
  auto parsed = ParseHandshake(frame);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->wire_version, 2);
  EXPECT_EQ(parsed->name, "a0");
  EXPECT_EQ(CheckCompatible(ExampleHello(), *parsed).message(),
            "wire version differs: ours is 1, the peer's is 2");
}

TEST(WireHandshake, CarriesARefusalOrAGoodbyeWithItsText) {
  auto parsed = ParseHandshake(ToBytes(WriteRefusal(absl::FailedPreconditionError("wrong model"))));
  EXPECT_EQ(parsed.status(), absl::FailedPreconditionError("refused by peer: wrong model"));
  const Bytes goodbye = ToBytes(WriteGoodbye(absl::InternalError("enough")));
  EXPECT_EQ(SortOf(goodbye), FrameSort::kLastWord);
  parsed = ParseHandshake(goodbye);
  EXPECT_EQ(parsed.status(), absl::UnavailableError("closed by peer: enough"));
  parsed = ParseHandshake(ToBytes(WriteRefusal(absl::UnavailableError(std::string(9999, 'x')))));
  EXPECT_EQ(parsed.status().message().size(), kMaxReasonBytes + strlen("refused by peer: "));
}

TEST(WireHandshake, RefusesLongNamesUnknownValuesAndBytesTooMany) {
  Bytes frame = ToBytes(WriteHello(ExampleHello()));
  constexpr size_t kNameLength = kEnvelopeBytes + 46;
  frame.resize(frame.size() + 400);
  frame[kNameLength] = std::byte{0x01};  // 257
  frame[kNameLength + 1] = std::byte{0x01};
  Put32(frame, 8, static_cast<uint32_t>(frame.size() - kEnvelopeBytes));
  Seal(frame);
  EXPECT_FALSE(ParseHandshake(frame).ok());

  frame = ToBytes(WriteHello(ExampleHello()));
  frame[kEnvelopeBytes + 1] = std::byte{9};
  Seal(frame);
  EXPECT_TRUE(absl::StrContains(ParseHandshake(frame).status().message(), "role 9"));

  frame = ToBytes(WriteHello(ExampleHello()));
  frame.push_back({});
  Put32(frame, 8, static_cast<uint32_t>(frame.size() - kEnvelopeBytes));
  Seal(frame);
  EXPECT_TRUE(absl::StrContains(ParseHandshake(frame).status().message(), "1 bytes too many"));
}

// docs/wire.md shows two frames in full; each line is `hex bytes  # what they are`.
std::string HexOfPage(absl::string_view heading) {
  std::ifstream page(EXPERTMESH_SOURCE_DIR "/docs/wire.md");
  std::string line, hex;
  bool there = false, inside = false;
  while (std::getline(page, line)) {
    if (line == heading) there = true;
    if (there && line == "```") {
      if (inside) break;
      inside = true;
      continue;
    }
    if (!inside) continue;
    std::istringstream bytes(line.substr(0, line.find('#')));
    for (std::string byte; bytes >> byte;) hex += byte;
  }
  return hex;
}

TEST(Wire, WritesTheFramesOfTheWorkedExamples) {
  EXPECT_EQ(HexOfPage("### A dispatch"), Hex(ExampleFrame()));
  EXPECT_EQ(HexOfPage("### A hello"), Hex(ToBytes(WriteHello(ExampleHello()))));
}

}  // namespace
}  // namespace expertmesh
