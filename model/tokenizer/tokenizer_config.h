// tokenizer_config.h: what tokenizer_config.json and the post-processor say about BOS and EOS.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace expertmesh {

inline constexpr char kTokenizerConfigFile[] = "tokenizer_config.json";
inline constexpr uint64_t kTokenizerConfigBytesMax = uint64_t{8} << 20;

struct TokenizerConfig {
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<bool> add_bos_token;  // nullopt: neither the file nor its tokenizer_class says
  std::optional<bool> add_eos_token;
};

// Tokens are strings or objects with a `content`. Where add_bos_token is absent, the class of
// Llama's tokenizers adds BOS, as it does in transformers. Other fields are ignored.
// Errors  INVALID_ARGUMENT: field, found, expected.
absl::StatusOr<TokenizerConfig> ParseTokenizerConfig(absl::string_view text);

// The token that tokenizer.json's post_processor puts before a text, if any: null and ByteLevel put
// none, TemplateProcessing may put one, and a Sequence is several of these.
// Errors  INVALID_ARGUMENT: another type, or a template of another form.
absl::StatusOr<std::optional<std::string>> PostProcessorBos(const nlohmann::json& tokenizer);

}  // namespace expertmesh
