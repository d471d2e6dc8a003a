#include "model/tokenizer/tokenizer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/utf8.h"
#include "model/checkpoint/input_file.h"
#include "model/json_fields.h"
#include "model/tokenizer/tokenizer_config.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;

// Published patterns take less than a tenth of it, whatever the text.
constexpr int64_t kStepsPerByte = 512;
constexpr int64_t kStepsMin = 1 << 16;

// The fields that no other class reads, and whose other values would change the encoding.
absl::Status CheckTopLevel(const Json& tokenizer) {
  JsonFields fields(tokenizer);
  if (fields.TextOr("version", "1.0") != "1.0") fields.Refuse("version", "\"1.0\"");
  for (const char* absent : {"truncation", "padding"}) {
    if (fields.Find(absent) != nullptr) fields.Refuse(absent, "null");
  }
  if (const Json* normalizer = fields.Find("normalizer")) {
    const bool empty = normalizer->is_object() && normalizer->value("type", Json()) == "Sequence" &&
                       normalizer->value("normalizers", Json()) == Json::array();
    const bool typed = normalizer->is_object() && normalizer->contains("type");
    if (!empty) {
      return absl::InvalidArgumentError(absl::StrCat(
          "field normalizer: found ", Excerpt(typed ? (*normalizer)["type"] : *normalizer),
          ", expected null or an empty Sequence"));
    }
  }
  const Json* decoder = fields.Find("decoder");
  if (decoder == nullptr || !decoder->is_object()) {
    fields.Refuse("decoder", "an object");
    return fields.status();
  }
  JsonFields decoder_fields(*decoder, "decoder.");
  if (decoder_fields.TextOr("type", "") != "ByteLevel") {
    decoder_fields.Refuse("type", "\"ByteLevel\"");
  }
  fields.Note(decoder_fields.status());
  return fields.status();
}

}  // namespace

struct Tokenizer::Encoding {
  StepBudget budget;
  Bpe::Scratch scratch;
  std::vector<int32_t> ids;
};

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Open(const std::string& folder) {
  ASSIGN_OR_RETURN(const std::string tokenizer,
                   ReadTextFile(folder, kTokenizerFile, kTokenizerFileBytesMax));
  absl::StatusOr<std::string> config =
      ReadTextFile(folder, kTokenizerConfigFile, kTokenizerConfigBytesMax);
  if (!config.ok() && !absl::IsNotFound(config.status())) return config.status();
  return Parse(tokenizer, config.ok() ? std::optional<absl::string_view>(*config) : std::nullopt);
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Parse(
    absl::string_view tokenizer, std::optional<absl::string_view> tokenizer_config) {
  const auto in_file = [](const absl::Status& status) { return Annotate(status, kTokenizerFile); };
  absl::StatusOr<Json> json = ParseJsonObject(tokenizer);
  if (!json.ok()) return in_file(json.status());
  if (absl::Status status = CheckTopLevel(*json); !status.ok()) return in_file(status);
  absl::StatusOr<Vocabulary> vocabulary = Vocabulary::Parse(*json);
  if (!vocabulary.ok()) return in_file(vocabulary.status());
  absl::StatusOr<PreTokenizer> pre_tokenizer = PreTokenizer::Parse(*json);
  if (!pre_tokenizer.ok()) return in_file(pre_tokenizer.status());
  absl::StatusOr<Bpe> bpe = Bpe::Parse(*json, *vocabulary);
  if (!bpe.ok()) return in_file(bpe.status());
  std::unique_ptr<Tokenizer> result(
      new Tokenizer(*std::move(vocabulary), *std::move(pre_tokenizer), *std::move(bpe)));
  RETURN_IF_ERROR(result->ReadConfig(*json, tokenizer_config));
  return result;
}

Tokenizer::Tokenizer(Vocabulary vocabulary, PreTokenizer pre_tokenizer, Bpe bpe)
    : vocabulary_(std::move(vocabulary)),
      pre_tokenizer_(std::move(pre_tokenizer)),
      bpe_(std::move(bpe)) {
  std::vector<AddedToken> parts[2];
  for (const AddedToken& token : vocabulary_.added_tokens()) {
    parts[token.normalized ? 1 : 0].push_back(token);
  }
  for (std::vector<AddedToken>& part : parts) finders_.emplace_back(std::move(part));
}

absl::Status Tokenizer::ReadConfig(const Json& tokenizer, std::optional<absl::string_view> text) {
  absl::StatusOr<std::optional<std::string>> template_bos = PostProcessorBos(tokenizer);
  if (!template_bos.ok()) return Annotate(template_bos.status(), kTokenizerFile);
  TokenizerConfig config;
  if (text) {
    absl::StatusOr<TokenizerConfig> parsed = ParseTokenizerConfig(*text);
    if (!parsed.ok()) return Annotate(parsed.status(), kTokenizerConfigFile);
    config = *std::move(parsed);
  }
  if (!config.bos_token) config.bos_token = *template_bos;
  add_bos_ = config.add_bos_token.value_or(template_bos->has_value());
  add_eos_ = config.add_eos_token.value_or(false);
  ASSIGN_OR_RETURN(bos_id_, IdOf(config.bos_token, tokenizer, "bos_token"));
  ASSIGN_OR_RETURN(eos_id_, IdOf(config.eos_token, tokenizer, "eos_token"));
  if (add_bos_ && !bos_id_) {
    return absl::InvalidArgumentError(absl::StrCat(
        kTokenizerConfigFile, ": field bos_token: found none, but BOS is to be added"));
  }
  if (add_eos_ && !eos_id_) {
    return absl::InvalidArgumentError(absl::StrCat(
        kTokenizerConfigFile, ": field eos_token: found none, but EOS is to be added"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<int32_t>> Tokenizer::IdOf(const std::optional<std::string>& content,
                                                       const Json& tokenizer,
                                                       absl::string_view field) const {
  if (!content) return std::nullopt;
  for (const AddedToken& token : vocabulary_.added_tokens()) {
    if (token.content == *content) return token.id;
  }
  const Json& vocab = tokenizer.at("model").at("vocab");
  auto found = vocab.find(*content);
  if (found != vocab.end()) return found->get<int32_t>();
  return absl::InvalidArgumentError(absl::StrCat(kTokenizerConfigFile, ": field ", field,
                                                 ": found \"", Quote(*content),
                                                 "\", expected a token of ", kTokenizerFile));
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(absl::string_view text) const {
  ASSIGN_OR_RETURN(std::vector<int32_t> ids, EncodeChat(text));
  if (add_bos_) ids.insert(ids.begin(), *bos_id_);
  if (add_eos_) ids.push_back(*eos_id_);
  return ids;
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::EncodeChat(absl::string_view text) const {
  if (text.size() > kTextBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("text: found ", text.size(), " bytes, expected at most ", kTextBytesMax));
  }
  const size_t valid = ValidUtf8Bytes(text);
  if (valid < text.size()) {
    return absl::InvalidArgumentError(absl::StrCat("text: not UTF-8 at byte ", valid));
  }
  const int64_t steps = kStepsMin + kStepsPerByte * static_cast<int64_t>(text.size());
  Encoding encoding{.budget = {steps}, .scratch = {}, .ids = {}};
  RETURN_IF_ERROR(EncodePart(text, 0, encoding));
  return std::move(encoding.ids);
}

absl::Status Tokenizer::EncodePart(absl::string_view text, size_t finder,
                                   Encoding& encoding) const {
  if (finder == finders_.size()) return EncodePlain(text, encoding);
  size_t done = 0;
  while (const auto match = finders_[finder].Find(text, done)) {
    RETURN_IF_ERROR(EncodePart(text.substr(done, match->where.begin - done), finder + 1, encoding));
    encoding.ids.push_back(match->token->id);
    done = match->where.end;
  }
  return EncodePart(text.substr(done), finder + 1, encoding);
}

absl::Status Tokenizer::EncodePlain(absl::string_view text, Encoding& encoding) const {
  return pre_tokenizer_.Split(text, encoding.budget, [&](absl::string_view piece) {
    bpe_.Encode(piece, encoding.scratch, encoding.ids);
  });
}

}  // namespace expertmesh
