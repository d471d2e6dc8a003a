// vocabulary.h: what bytes each token id stands for: all that turning ids into text needs.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace expertmesh {

inline constexpr char kTokenizerFile[] = "tokenizer.json";
inline constexpr int kVocabularySizeMax = 1 << 20;
inline constexpr uint64_t kTokenizerFileBytesMax = uint64_t{32} << 20;
inline constexpr size_t kTokenBytesMax = 4096;
inline constexpr size_t kAddedTokensMax = 1 << 16;

// One of the file's added_tokens: it is found in text as it stands, before anything else.
struct AddedToken {
  int32_t id = 0;
  std::string content;      // UTF-8, not empty
  bool special = false;     // left out of text that is meant for readers
  bool normalized = false;  // looked for after those that are not
};

// Immutable; any thread.
class Vocabulary {
 public:
  // Reads the file's model.vocab and added_tokens. Every id is in [0, kVocabularySizeMax), no two
  // tokens have one id, and no two added tokens one content. Added tokens' lstrip, rstrip and
  // single_word must be false.
  // Errors  INVALID_ARGUMENT: field, token, found, expected. Open names the file, too, and has the
  //         errors of ReadTextFile.
  static absl::StatusOr<Vocabulary> Parse(const nlohmann::json& tokenizer);
  static absl::StatusOr<Vocabulary> Open(const std::string& folder);

  // One more than the highest id. A model may have more rows than that: ids without a token are
  // legal everywhere, and stand for no bytes.
  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }

  // The bytes that `id` stands for, often not whole characters: of a token spelled in the byte
  // alphabet, those; of any other, its UTF-8. Empty for an id that has no token, whatever it is.
  absl::string_view bytes(int32_t id) const;

  bool is_special(int32_t id) const { return Has(id) && Get(id).special; }

  // In the file's order.
  const std::vector<AddedToken>& added_tokens() const { return added_; }

 private:
  struct Token {
    std::string bytes;
    bool used = false;
    bool special = false;
  };

  bool Has(int32_t id) const { return 0 <= id && id < size() && Get(id).used; }
  const Token& Get(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }

  absl::Status AddModelTokens(const nlohmann::json& vocab);
  absl::Status AddAddedTokens(const nlohmann::json& tokenizer, const nlohmann::json& vocab);
  absl::Status Put(int32_t id, absl::string_view spelling, bool special);

  std::vector<Token> tokens_;
  std::vector<AddedToken> added_;
};

}  // namespace expertmesh
