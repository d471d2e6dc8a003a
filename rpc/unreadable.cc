#include "rpc/unreadable.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "common/utf8.h"

namespace expertmesh {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;

// Walks the fields as a parser does. One walk is one message; what it found wrong, if anything, is
// in `field` (empty: the message itself) and `what`.
class Walk {
 public:
  Walk(const Descriptor& type, std::string prefix) : type_(type), prefix_(std::move(prefix)) {}

  bool Reads(absl::string_view bytes) {
    google::protobuf::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                 static_cast<int>(bytes.size()));
    while (const uint32_t tag = input.ReadTag()) {
      const FieldDescriptor* known =
          type_.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      field = known == nullptr ? prefix_ : NameOf(*known);
      const bool delimited =
          WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
      if (!delimited || known == nullptr) {
        if (!WireFormatLite::SkipField(&input, tag)) return false;
        continue;
      }
      uint32_t length = 0;
      if (!input.ReadVarint32(&length)) return false;
      const auto at = static_cast<size_t>(input.CurrentPosition());
      if (length > bytes.size() - at) return false;
      if (!ReadsValue(*known, bytes.substr(at, length))) return false;
      if (!input.Skip(static_cast<int>(length))) return false;
    }
    field = prefix_;
    return input.ConsumedEntireMessage();
  }

  std::string field;
  std::string what = "is cut short or malformed";

 private:
  bool ReadsValue(const FieldDescriptor& known, absl::string_view bytes) {
    if (known.type() == FieldDescriptor::TYPE_STRING) {
      const size_t valid = ValidUtf8Bytes(bytes);
      if (valid == bytes.size()) return true;
      what = absl::StrCat("is not valid UTF-8 at byte ", valid);
      return false;
    }
    if (known.type() != FieldDescriptor::TYPE_MESSAGE) return true;
    Walk inner(*known.message_type(), field);
    if (inner.Reads(bytes)) return true;
    field = inner.field;
    what = inner.what;
    return false;
  }

  std::string NameOf(const FieldDescriptor& known) {
    std::string name = absl::StrCat(prefix_, prefix_.empty() ? "" : ".", known.name());
    const bool listed = known.is_repeated() && !known.is_packable();
    return listed ? absl::StrCat(name, "[", counts_[known.number()]++, "]") : name;
  }

  const Descriptor& type_;
  const std::string prefix_;
  std::map<int, int> counts_;  // of repeated fields so far, by number
};

}  // namespace

std::string WhyUnreadable(absl::string_view bytes, const Descriptor& type) {
  Walk walk(type, "");
  const bool reads = walk.Reads(bytes);
  if (!reads && !walk.field.empty()) return absl::StrCat(walk.field, " ", walk.what);
  return absl::StrCat("the request's ", bytes.size(), " bytes are no ", type.name(),
                      ": cut short or malformed");
}

}  // namespace expertmesh
