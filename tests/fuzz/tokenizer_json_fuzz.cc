// Hostile tokenizers: whatever the bytes, Parse ends soon, with a tokenizer or a Status; and what
// it gives encodes any text into tokens that stand for that text.
//
// The input is a tokenizer.json, after a zero byte a tokenizer_config.json, and after another a
// text. The first `"@bytes":0` stands for the tokens of all single bytes, ids 0 to 242: without
// them no tokenizer is whole, and a search would spend its time on spelling them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/check.h"
#include "model/tokenizer/tokenizer.h"
#include "model/vocabulary/byte_alphabet.h"

namespace expertmesh {
namespace {

constexpr absl::string_view kTexts[] = {
    "", "Hello, w\xC3\xB6rld  12\xC2\xBD\n\n  \xE4\xBD\xA0\xE5\xA5\xBD<s>a</s>\t!?  ",
    "aaaaaaaaaaaaaaaaaaaaaaaaab \n \n"};

std::string ByteTokens() {
  std::string tokens;
  int id = 0;
  for (int byte = 0; byte < 0xF5; ++byte) {
    if (byte == 0xC0 || byte == 0xC1) continue;  // UTF-8 has no such bytes
    const std::string spelling = SpellingOfByte(static_cast<unsigned char>(byte));
    const absl::string_view escape = byte == '"' || byte == '\\' ? "\\" : "";
    absl::StrAppend(&tokens, id == 0 ? "" : ",", "\"", escape, spelling, "\":", id);
    ++id;
  }
  return tokens;
}

std::string WithByteTokens(absl::string_view json) {
  constexpr absl::string_view kMark = "\"@bytes\":0";
  static const std::string& tokens = *new std::string(ByteTokens());
  const size_t mark = json.find(kMark);
  if (mark == absl::string_view::npos) return std::string(json);
  return absl::StrCat(json.substr(0, mark), tokens, json.substr(mark + kMark.size()));
}

// An added token whose spelling reads as bytes stands for those, and not for what it was found as.
bool AddedTokensStandForThemselves(const Vocabulary& vocabulary) {
  for (const AddedToken& token : vocabulary.added_tokens()) {
    if (vocabulary.bytes(token.id) != token.content) return false;
  }
  return true;
}

// `whole` is `ids` with at most BOS before and EOS after them.
void CheckFrame(const std::vector<int32_t>& ids, const std::vector<int32_t>& whole) {
  CHECK(ids.size() <= whole.size() && whole.size() <= ids.size() + 2, "BOS and EOS, if any");
  const auto begins_at = [&](size_t skip) {
    return skip + ids.size() <= whole.size() &&
           std::equal(ids.begin(), ids.end(), whole.begin() + static_cast<ptrdiff_t>(skip));
  };
  CHECK(begins_at(0) || begins_at(1), "the ids of the text stand between them");
}

void EncodeHostile(const Tokenizer& tokenizer, absl::string_view text) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const absl::StatusOr<std::vector<int32_t>> ids = tokenizer.EncodeChat(text);
  const absl::StatusOr<std::vector<int32_t>> whole = tokenizer.Encode(text);
  CHECK(ids.status() == whole.status(), "BOS and EOS do not decide whether a text is legal");
  if (!ids.ok()) {
    CHECK(absl::IsInvalidArgument(ids.status()) || absl::IsResourceExhausted(ids.status()),
          "a text is refused for its own or the patterns' sake");
    return;
  }
  std::string back;
  for (int32_t id : *ids) {
    CHECK(!vocabulary.bytes(id).empty(), "each id is a token");
    absl::StrAppend(&back, vocabulary.bytes(id));
  }
  CHECK(back == text || !AddedTokensStandForThemselves(vocabulary), "the text comes back");

  CheckFrame(*ids, *whole);
}

void ParseHostile(absl::string_view input) {
  const size_t zero = input.find('\0');
  const std::string json = WithByteTokens(input.substr(0, zero));
  std::optional<absl::string_view> config;
  absl::string_view text;
  if (zero != absl::string_view::npos) {
    config = input.substr(zero + 1);
    const size_t second = config->find('\0');
    if (second != absl::string_view::npos) {
      text = config->substr(second + 1);
      config = config->substr(0, second);
    }
  }
  const absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::Parse(json, config);
  if (!tokenizer.ok()) {
    CHECK(absl::IsInvalidArgument(tokenizer.status()), "a tokenizer is refused as one");
    return;
  }
  for (absl::string_view each : kTexts) EncodeHostile(**tokenizer, each);
  EncodeHostile(**tokenizer, text);
}

}  // namespace
}  // namespace expertmesh

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  expertmesh::ParseHostile(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
