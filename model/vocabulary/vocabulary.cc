#include "model/vocabulary/vocabulary.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/checkpoint/input_file.h"
#include "model/json_fields.h"
#include "model/vocabulary/byte_alphabet.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;

absl::Status Refuse(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("field ", field, ": ", what));
}

absl::StatusOr<int32_t> ReadId(const std::string& spelling, const Json& value) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() >= uint64_t{kVocabularySizeMax}) {
    return Refuse("model.vocab",
                  absl::StrCat("token \"", Quote(spelling), "\": found id ", Excerpt(value),
                               ", expected an integer in [0, ", kVocabularySizeMax - 1, "]"));
  }
  return value.get<int32_t>();
}

absl::Status CheckLength(absl::string_view field, absl::string_view text) {
  if (!text.empty() && text.size() <= kTokenBytesMax) return absl::OkStatus();
  return Refuse(field, absl::StrCat("token \"", Quote(text), "\": found ", text.size(),
                                    " bytes, expected 1 to ", kTokenBytesMax));
}

absl::StatusOr<AddedToken> ReadAddedToken(const Json& value, const std::string& field) {
  if (!value.is_object()) {
    return Refuse(field, absl::StrCat("found ", Excerpt(value), ", expected an object"));
  }
  JsonFields fields(value, field + ".");
  AddedToken token{.id = static_cast<int32_t>(fields.Integer("id", 0, kVocabularySizeMax - 1)),
                   .content = fields.Text("content"),
                   .special = fields.BoolOr("special", false),
                   .normalized = fields.BoolOr("normalized", false)};
  for (const char* flag : {"lstrip", "rstrip", "single_word"}) {
    if (fields.BoolOr(flag, false)) fields.Refuse(flag, "false");
  }
  RETURN_IF_ERROR(fields.status());
  RETURN_IF_ERROR(CheckLength(field + ".content", token.content));
  return token;
}

}  // namespace

absl::StatusOr<Vocabulary> Vocabulary::Parse(const Json& tokenizer) {
  JsonFields fields(tokenizer);
  const Json* model = fields.Find("model");
  if (model == nullptr || !model->is_object()) {
    fields.Refuse("model", "an object");
    return fields.status();
  }
  JsonFields model_fields(*model, "model.");
  const Json* vocab = model_fields.Find("vocab");
  if (vocab == nullptr || !vocab->is_object() || vocab->empty() ||
      vocab->size() > size_t{kVocabularySizeMax}) {
    model_fields.Refuse("vocab", absl::StrCat("an object of 1 to ", kVocabularySizeMax));
    return model_fields.status();
  }
  Vocabulary vocabulary;
  RETURN_IF_ERROR(vocabulary.AddModelTokens(*vocab));
  RETURN_IF_ERROR(vocabulary.AddAddedTokens(tokenizer, *vocab));
  return vocabulary;
}

absl::StatusOr<Vocabulary> Vocabulary::Open(const std::string& folder) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadTextFile(folder, kTokenizerFile, kTokenizerFileBytesMax));
  absl::StatusOr<Json> json = ParseJsonObject(text);
  if (!json.ok()) return Annotate(json.status(), kTokenizerFile);
  absl::StatusOr<Vocabulary> vocabulary = Parse(*json);
  if (!vocabulary.ok()) return Annotate(vocabulary.status(), kTokenizerFile);
  return vocabulary;
}

absl::Status Vocabulary::AddModelTokens(const Json& vocab) {
  for (auto item = vocab.begin(); item != vocab.end(); ++item) {
    ASSIGN_OR_RETURN(const int32_t id, ReadId(item.key(), *item));
    RETURN_IF_ERROR(CheckLength("model.vocab", item.key()));
    RETURN_IF_ERROR(Put(id, item.key(), /*special=*/false));
  }
  return absl::OkStatus();
}

absl::Status Vocabulary::AddAddedTokens(const Json& tokenizer, const Json& vocab) {
  JsonFields fields(tokenizer);
  const Json* list = fields.Find("added_tokens");
  if (list == nullptr) return absl::OkStatus();
  if (!list->is_array() || list->size() > kAddedTokensMax) {
    fields.Refuse("added_tokens", absl::StrCat("an array of at most ", kAddedTokensMax));
    return fields.status();
  }
  std::set<std::string> contents;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string field = absl::StrCat("added_tokens[", i, "]");
    ASSIGN_OR_RETURN(AddedToken token, ReadAddedToken((*list)[i], field));
    if (!contents.insert(token.content).second) {
      return Refuse(field, absl::StrCat("content \"", Quote(token.content), "\" is there twice"));
    }
    // A token of the model's own vocabulary may be an added one as well, under the same id.
    auto in_model = vocab.find(token.content);
    if (in_model == vocab.end()) {
      RETURN_IF_ERROR(Put(token.id, token.content, token.special));
    } else if (in_model->get<int32_t>() != token.id) {
      return Refuse(field, absl::StrCat("found id ", token.id, ", expected ",
                                        in_model->get<int32_t>(), " as in model.vocab"));
    } else {
      tokens_[static_cast<size_t>(token.id)].special = token.special;
    }
    added_.push_back(std::move(token));
  }
  return absl::OkStatus();
}

absl::Status Vocabulary::Put(int32_t id, absl::string_view spelling, bool special) {
  const auto index = static_cast<size_t>(id);
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  Token& token = tokens_[index];
  if (token.used) {
    return absl::InvalidArgumentError(
        absl::StrCat("token \"", Quote(spelling), "\": another token has its id ", id, " too"));
  }
  std::optional<std::string> bytes = BytesOfSpelling(spelling);
  token = {
      .bytes = bytes ? *std::move(bytes) : std::string(spelling), .used = true, .special = special};
  return absl::OkStatus();
}

absl::string_view Vocabulary::bytes(int32_t id) const {
  return Has(id) ? absl::string_view(Get(id).bytes) : absl::string_view();
}

}  // namespace expertmesh
