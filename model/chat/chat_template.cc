#include "model/chat/chat_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/checkpoint/input_file.h"
#include "model/json_fields.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;
using jinja::Value;
using Texts = std::vector<std::pair<std::string, std::string>>;

constexpr char kTemplateFile[] = "chat_template.jinja";
constexpr char kConfigFile[] = "tokenizer_config.json";
constexpr uint64_t kConfigBytesMax = 16 << 20;

constexpr absl::string_view kSpecialTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                "pad_token", "cls_token", "mask_token"};

// A file's text; nullopt: there is no such file.
absl::StatusOr<std::optional<std::string>> ReadIfThere(const std::string& folder,
                                                       const std::string& name,
                                                       uint64_t bytes_max) {
  absl::StatusOr<std::string> text = ReadTextFile(folder, name, bytes_max);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  RETURN_IF_ERROR(text.status());
  return *std::move(text);
}

// A token is its text, or an object that has it as "content"; null and absent ones are left out.
absl::StatusOr<Texts> SpecialTokens(const Json& config) {
  Texts tokens;
  for (absl::string_view name : kSpecialTokens) {
    const auto found = config.find(std::string(name));
    if (found == config.end() || found->is_null()) continue;
    const Json* token = &*found;
    if (token->is_object() && token->contains("content")) token = &token->at("content");
    if (!token->is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(
          name, ": found ", Excerpt(*found), ", expected a string or an object with content"));
    }
    tokens.emplace_back(std::string(name), token->get<std::string>());
  }
  return tokens;
}

// The template in tokenizer_config.json; nullopt: there is none.
absl::StatusOr<std::optional<std::string>> TemplateIn(const Json& config) {
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) {
    return absl::InvalidArgumentError(absl::StrCat("chat_template: found ", Excerpt(*found),
                                                   ", expected a string or a list of templates"));
  }
  for (const Json& each : *found) {
    if (!each.is_object() || !each.contains("name") || !each.contains("template") ||
        !each["template"].is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "chat_template: found ", Excerpt(each), ", expected an object with name and template"));
    }
    if (each["name"] == "default") return each["template"].get<std::string>();
  }
  return absl::NotFoundError("chat_template: there are templates, but none named default");
}

// As transformers: reasoning goes by the names that templates ask for, whichever the caller used.
Value WithReasoning(const Value& message) {
  const Value* reasoning = nullptr;
  for (absl::string_view name : {"reasoning_content", "thinking", "reasoning"}) {
    const Value* found = message.dict().Find(name);
    if (reasoning == nullptr && found != nullptr && !found->is_none()) reasoning = found;
  }
  if (reasoning == nullptr) return message;
  Value::Pairs fields;
  if (message.dict().Find("thinking") == nullptr) {
    fields.emplace_back(Value::Text("thinking"), *reasoning);
  }
  bool named = false;
  for (const auto& [key, value] : message.dict().items) {
    const bool is_it = key.is_text() && key.text() == "reasoning_content";
    named = named || is_it;
    fields.emplace_back(key, is_it ? *reasoning : value);
  }
  if (!named) fields.emplace_back(Value::Text("reasoning_content"), *reasoning);
  return Value::DictOf(std::move(fields));
}

bool Has(const Value::Pairs& variables, absl::string_view name) {
  return std::any_of(variables.begin(), variables.end(),
                     [name](const auto& each) { return each.first.text() == name; });
}

absl::StatusOr<Value> Prepared(const Value& messages) {
  if (!messages.is_list()) return absl::InvalidArgumentError("messages are not a list");
  std::vector<Value> prepared;
  for (const Value& message : messages.list().items) {
    if (!message.is_dict()) {
      return absl::InvalidArgumentError(
          absl::StrCat("message ", prepared.size(), " is a ", message.TypeName(), ", not a dict"));
    }
    prepared.push_back(WithReasoning(message));
  }
  return Value::ListOf(std::move(prepared));
}

}  // namespace

absl::StatusOr<ChatTemplate> ChatTemplate::Parse(absl::string_view source, Texts special_tokens) {
  ASSIGN_OR_RETURN(jinja::Template parsed, jinja::Template::Parse(source));
  return ChatTemplate(std::move(parsed), std::move(special_tokens));
}

absl::StatusOr<ChatTemplate> ChatTemplate::Open(const std::string& folder) {
  Texts special_tokens;
  std::optional<std::string> source;
  ASSIGN_OR_RETURN(const std::optional<std::string> config_text,
                   ReadIfThere(folder, kConfigFile, kConfigBytesMax));
  ASSIGN_OR_RETURN(const std::optional<std::string> own_file,
                   ReadIfThere(folder, kTemplateFile, jinja::kTemplateBytesMax));
  if (config_text) {
    const auto named = [&](const absl::Status& status) {
      return Annotate(status, absl::StrCat(folder, "/", kConfigFile));
    };
    absl::StatusOr<Json> config = ParseJsonObject(*config_text);
    if (!config.ok()) return named(config.status());
    absl::StatusOr<Texts> tokens = SpecialTokens(*config);
    if (!tokens.ok()) return named(tokens.status());
    special_tokens = *std::move(tokens);
    if (!own_file) {
      absl::StatusOr<std::optional<std::string>> found = TemplateIn(*config);
      if (!found.ok()) return named(found.status());
      source = *std::move(found);
    }
  }
  if (own_file) source = own_file;
  if (!source) {
    return absl::NotFoundError(
        absl::StrCat(folder, ": the checkpoint has no chat template (neither ", kTemplateFile,
                     " nor chat_template in ", kConfigFile, ")"));
  }
  absl::StatusOr<ChatTemplate> parsed = Parse(*source, std::move(special_tokens));
  if (parsed.ok()) return parsed;
  return Annotate(parsed.status(), absl::StrCat(folder, "/", own_file ? kTemplateFile : kConfigFile,
                                                own_file ? "" : ": chat_template"));
}

absl::StatusOr<std::string> ChatTemplate::Render(const std::vector<ChatMessage>& messages,
                                                 const ChatOptions& options) const {
  std::vector<Value> values;
  for (const ChatMessage& message : messages) {
    Value::Pairs fields;
    fields.emplace_back(Value::Text("role"), Value::Text(message.role));
    fields.emplace_back(Value::Text("content"),
                        message.content ? Value::Text(*message.content) : Value::None());
    for (const auto& [name, value] : message.fields) {
      if (name == "role" || name == "content") {
        return absl::InvalidArgumentError(
            absl::StrCat("message ", values.size(), " has ", name, " among its other fields, too"));
      }
      fields.emplace_back(Value::Text(name), value);
    }
    values.push_back(Value::DictOf(std::move(fields)));
  }
  return Render(Value::ListOf(std::move(values)), options);
}

absl::StatusOr<std::string> ChatTemplate::Render(const Value& messages,
                                                 const ChatOptions& options) const {
  ASSIGN_OR_RETURN(Value prepared, Prepared(messages));
  Value::Pairs variables;
  variables.emplace_back(Value::Text("messages"), std::move(prepared));
  variables.emplace_back(Value::Text("tools"), options.tools);
  variables.emplace_back(Value::Text("documents"), Value::None());
  variables.emplace_back(Value::Text("add_generation_prompt"),
                         Value::Bool(options.add_generation_prompt));
  for (const auto& [name, value] : options.variables) {
    if (Has(variables, name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("variable ", Quote(name), " is given twice, or set by other means"));
    }
    variables.emplace_back(Value::Text(name), value);
  }
  // A variable of the caller's goes before the token of that name.
  for (const auto& [name, token] : special_tokens_) {
    if (!Has(variables, name)) variables.emplace_back(Value::Text(name), Value::Text(token));
  }
  return template_.Render(Value::DictOf(std::move(variables)), options.limits);
}

}  // namespace expertmesh
