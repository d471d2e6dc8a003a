// The handshake's frames (wire.h). Their headers may only grow at the end: a hello of any version
// must stay readable to all, so that the refusal can name both versions.
#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status.h"
#include "transport/wire.h"
#include "transport/wire_bytes.h"
#include "transport/wire_envelope.h"

namespace expertmesh {
namespace {

constexpr size_t kHelloFixedBytes = 50;  // all but the texts' bytes
constexpr size_t kReasonFixedBytes = 6;

std::byte* Bytes(std::string& text) { return reinterpret_cast<std::byte*>(text.data()); }

absl::Status TooLong(absl::string_view field, size_t bytes) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": ", bytes, " bytes, at most ", kMaxNameBytes));
}

Hello ReadHello(const Envelope& envelope, ByteReader& in) {
  Hello hello;
  hello.wire_version = envelope.version;
  hello.wire_dtype = static_cast<DType>(in.U8());
  hello.role = static_cast<WorkerRole>(in.U8());
  hello.hidden = in.U32();
  hello.incarnation.term = in.U64();
  hello.incarnation.number = in.U64();
  hello.model.high = in.U64();
  hello.model.low = in.U64();
  hello.compute_class.fingerprint = in.U64();
  hello.name = in.Text();
  hello.compute_class.name = in.Text();
  return hello;
}

absl::StatusOr<Hello> ParseHello(const Envelope& envelope, ByteReader& in) {
  Hello hello = ReadHello(envelope, in);
  if (!in.ok()) {
    return absl::DataLossError(
        absl::StrCat("hello is cut short: its header has ", envelope.header_bytes, " bytes"));
  }
  const int dtype = static_cast<int>(hello.wire_dtype);
  const int role = static_cast<int>(hello.role);
  const bool known = dtype >= 1 && dtype <= 4 && role >= 1 && role <= 2;
  if (envelope.version != kWireVersion) {
    // Whoever judges it names both versions; a value that only the other version knows must not
    // get that far.
    if (!known) {
      hello.wire_dtype = DType::kF32;
      hello.role = WorkerRole::kAttention;
    }
  } else if (!known) {
    return absl::InvalidArgumentError(
        absl::StrCat("hello: wire dtype ", dtype, ", role ", role, "; known are 1 to 4, 1 to 2"));
  } else if (in.left() != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("hello: ", in.left(), " bytes too many for wire version ", kWireVersion));
  }
  if (hello.name.size() > kMaxNameBytes) return TooLong("hello: name", hello.name.size());
  if (hello.compute_class.name.size() > kMaxNameBytes) {
    return TooLong("hello: class name", hello.compute_class.name.size());
  }
  return hello;
}

// The status in a refusal or goodbye.
absl::Status ParseReason(ByteReader& in, absl::string_view context) {
  uint32_t code = in.U32();
  const std::string text = in.Text();
  if (!in.ok() || text.size() > kMaxReasonBytes) {
    return absl::DataLossError(
        absl::StrCat(context, ", but the reason is cut short or over ", kMaxReasonBytes, " bytes"));
  }
  if (code == 0 || code > 16) code = static_cast<uint32_t>(absl::StatusCode::kUnknown);
  return Annotate(absl::Status(static_cast<absl::StatusCode>(code), text), context);
}

std::string WriteReason(uint8_t kind, const absl::Status& why) {
  CHECK(!why.ok(), "whoever refuses or closes has a reason");
  const absl::string_view text = why.message().substr(0, kMaxReasonBytes);
  const size_t header_bytes = kReasonFixedBytes + text.size();
  std::string frame(kEnvelopeBytes + header_bytes, '\0');
  ByteWriter out(Bytes(frame) + kEnvelopeBytes);
  out.U32(static_cast<uint32_t>(why.code()));
  out.Text(text);
  WriteEnvelope({kWireVersion, kind, static_cast<uint8_t>(Lane::kControl),
                 static_cast<uint32_t>(header_bytes), 0},
                Bytes(frame));
  return frame;
}

}  // namespace

std::string WriteHello(const Hello& hello) {
  CHECK(hello.name.size() <= kMaxNameBytes, "options bound a worker's name");
  CHECK(hello.compute_class.name.size() <= kMaxNameBytes, "class names are ours");
  const size_t header_bytes =
      kHelloFixedBytes + hello.name.size() + hello.compute_class.name.size();
  std::string frame(kEnvelopeBytes + header_bytes, '\0');
  ByteWriter out(Bytes(frame) + kEnvelopeBytes);
  out.U8(static_cast<uint8_t>(hello.wire_dtype));
  out.U8(static_cast<uint8_t>(hello.role));
  out.U32(hello.hidden);
  out.U64(hello.incarnation.term);
  out.U64(hello.incarnation.number);
  out.U64(hello.model.high);
  out.U64(hello.model.low);
  out.U64(hello.compute_class.fingerprint);
  out.Text(hello.name);
  out.Text(hello.compute_class.name);
  WriteEnvelope({hello.wire_version, kHelloKind, static_cast<uint8_t>(Lane::kControl),
                 static_cast<uint32_t>(header_bytes), 0},
                Bytes(frame));
  return frame;
}

std::string WriteRefusal(const absl::Status& why) { return WriteReason(kRefusalKind, why); }

std::string WriteGoodbye(const absl::Status& why) { return WriteReason(kGoodbyeKind, why); }

absl::StatusOr<Hello> ParseHandshake(absl::Span<const std::byte> frame) {
  ASSIGN_OR_RETURN(const Envelope envelope, ParseEnvelope(frame));
  if (envelope.body_bytes != 0 && envelope.version == kWireVersion) {
    return absl::InvalidArgumentError("a handshake frame has no body");
  }
  ByteReader in(frame.subspan(kEnvelopeBytes, envelope.header_bytes));
  switch (envelope.kind) {
    case kHelloKind:
      return ParseHello(envelope, in);
    case kRefusalKind:
      return ParseReason(in, "refused by peer");
    case kGoodbyeKind:
      return absl::UnavailableError(ParseReason(in, "closed by peer").message());
  }
  return absl::InvalidArgumentError(
      absl::StrCat("kind: ", envelope.kind, ", a handshake is ", kHelloKind, " to ", kGoodbyeKind));
}

FrameSort SortOf(absl::Span<const std::byte> frame) {
  if (frame.size() < kEnvelopeBytes) return FrameSort::kMessage;
  const uint8_t kind = static_cast<uint8_t>(frame[kEnvelopeKindAt]);
  if (kind == kHelloKind) return FrameSort::kHello;
  return kind == kRefusalKind || kind == kGoodbyeKind ? FrameSort::kLastWord : FrameSort::kMessage;
}

}  // namespace expertmesh
