#include "model/tokenizer/tokenizer_config.h"

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/json_fields.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;

std::optional<std::string> ReadToken(JsonFields& fields, const std::string& name) {
  const Json* value = fields.Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_object()) {
    auto content = value->find("content");
    if (content != value->end() && content->is_string()) return content->get<std::string>();
  } else if (value->is_string()) {
    return value->get<std::string>();
  }
  fields.Refuse(name, "null, a string or an object with the string content");
  return std::nullopt;
}

std::optional<bool> ReadFlag(JsonFields& fields, const std::string& name) {
  if (fields.Find(name) == nullptr) return std::nullopt;
  return fields.BoolOr(name, false);
}

// The name in {"SpecialToken": {"id": name, ...}} or {"Sequence": {"id": name, ...}}.
std::optional<std::string> IdIn(const Json& piece, const char* kind) {
  if (!piece.is_object() || piece.size() != 1 || !piece.contains(kind)) return std::nullopt;
  const Json& inner = piece[kind];
  if (!inner.is_object() || !inner.contains("id") || !inner["id"].is_string()) return std::nullopt;
  return inner["id"].get<std::string>();
}

absl::StatusOr<std::optional<std::string>> BosOf(const Json* json, const std::string& field);

absl::StatusOr<std::optional<std::string>> BosOfSequence(const Json& json,
                                                         const std::string& field) {
  JsonFields fields(json, field + ".");
  const Json* list = fields.Find("processors");
  if (list == nullptr || !list->is_array()) {
    fields.Refuse("processors", "an array");
    return fields.status();
  }
  std::optional<std::string> bos;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string inner = absl::StrCat(field, ".processors[", i, "]");
    ASSIGN_OR_RETURN(std::optional<std::string> one, BosOf(&(*list)[i], inner));
    if (one && bos) {
      return absl::InvalidArgumentError(
          absl::StrCat("field ", inner, ": a second template, expected at most one"));
    }
    if (one) bos = std::move(one);
  }
  return bos;
}

absl::StatusOr<std::optional<std::string>> BosOf(const Json* json, const std::string& field) {
  if (json == nullptr || json->is_null()) return std::nullopt;
  if (!json->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("field ", field, ": found ", Excerpt(*json), ", expected an object"));
  }
  JsonFields fields(*json, field + ".");
  const std::string type = fields.TextOr("type", "");
  if (type == "ByteLevel") return std::nullopt;
  if (type == "Sequence") return BosOfSequence(*json, field);
  if (type != "TemplateProcessing") {
    fields.Refuse("type", "ByteLevel, TemplateProcessing or Sequence");
    return fields.status();
  }
  const Json* single = fields.Find("single");
  const bool pieces = single != nullptr && single->is_array() && !single->empty();
  if (pieces && IdIn(single->back(), "Sequence") == "A") {
    if (single->size() == 1) return std::nullopt;
    std::optional<std::string> bos = IdIn(single->front(), "SpecialToken");
    if (single->size() == 2 && bos) return bos;
  }
  fields.Refuse("single", "the text A, with at most one special token before it");
  return fields.status();
}

}  // namespace

absl::StatusOr<TokenizerConfig> ParseTokenizerConfig(absl::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJsonObject(text));
  JsonFields fields(json);
  TokenizerConfig config{.bos_token = ReadToken(fields, "bos_token"),
                         .eos_token = ReadToken(fields, "eos_token"),
                         .add_bos_token = ReadFlag(fields, "add_bos_token"),
                         .add_eos_token = ReadFlag(fields, "add_eos_token")};
  const std::string tokenizer_class = fields.TextOr("tokenizer_class", "");
  if (!config.add_bos_token &&
      (tokenizer_class == "LlamaTokenizerFast" || tokenizer_class == "LlamaTokenizer")) {
    config.add_bos_token = true;
  }
  RETURN_IF_ERROR(fields.status());
  return config;
}

absl::StatusOr<std::optional<std::string>> PostProcessorBos(const Json& tokenizer) {
  return BosOf(JsonFields(tokenizer).Find("post_processor"), "post_processor");
}

}  // namespace expertmesh
