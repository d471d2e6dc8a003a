// tokenizer.h: text into token ids, as the checkpoint's tokenizer.json has it published.
//
// A byte-level BPE with the pre-tokenizers of DeepSeek-V2 and V3: ids are those that Hugging Face's
// tokenizers gives for the same file. Whatever the text, the time is O(n log n): no piece of it is
// looked at again and again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/tokenizer/added_tokens.h"
#include "model/tokenizer/bpe.h"
#include "model/tokenizer/pre_tokenizer.h"
#include "model/vocabulary/vocabulary.h"

namespace expertmesh {

inline constexpr size_t kTextBytesMax = size_t{16} << 20;

// Immutable; any thread.
class Tokenizer {
 public:
  // Reads tokenizer.json and, if it is there, tokenizer_config.json, and checks every field that
  // has a say in the encoding. A type of model, normalizer, pre-tokenizer, decoder or
  // post-processor that is not among the published ones is refused by name.
  // Errors  NOT_FOUND: there is no tokenizer.json; INVALID_ARGUMENT: file, field, found, expected;
  //         else as ReadTextFile.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Open(const std::string& folder);
  // The same, from the files' texts; nullopt: there is no tokenizer_config.json.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Parse(
      absl::string_view tokenizer, std::optional<absl::string_view> tokenizer_config);

  // The ids of a text, BOS before and EOS after it where the checkpoint wants them, also if the
  // text begins with BOS itself. Added tokens in the text become their ids. An empty text is legal.
  // Errors  INVALID_ARGUMENT: more than kTextBytesMax bytes, or the byte at which text is not
  //         UTF-8; RESOURCE_EXHAUSTED: a pattern of the pre-tokenizer takes more than linear time
  //         (not with those of DeepSeek-V2 and V3).
  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text) const;

  // The same without BOS and EOS: what a chat template wrote has its own already.
  absl::StatusOr<std::vector<int32_t>> EncodeChat(absl::string_view text) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  Tokenizer(Vocabulary vocabulary, PreTokenizer pre_tokenizer, Bpe bpe);

  absl::Status ReadConfig(const nlohmann::json& tokenizer, std::optional<absl::string_view> config);
  absl::StatusOr<std::optional<int32_t>> IdOf(const std::optional<std::string>& content,
                                              const nlohmann::json& tokenizer,
                                              absl::string_view field) const;
  struct Encoding;
  // Both append the ids of a part of the text; the first looks for tokens that are not normalized.
  absl::Status EncodePart(absl::string_view text, size_t finder, Encoding& encoding) const;
  absl::Status EncodePlain(absl::string_view text, Encoding& encoding) const;

  const Vocabulary vocabulary_;
  const PreTokenizer pre_tokenizer_;
  const Bpe bpe_;
  std::vector<AddedTokenFinder> finders_;  // in the order in which they see the text
  std::optional<int32_t> bos_id_;
  std::optional<int32_t> eos_id_;
  bool add_bos_ = false;
  bool add_eos_ = false;
};

}  // namespace expertmesh
