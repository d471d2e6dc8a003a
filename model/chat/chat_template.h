// chat_template.h: a checkpoint's own way to write a conversation as one text.
//
// Renders what transformers' apply_chat_template(tokenize=False) gives for the same template and
// messages. The text begins with the bos token where the template prints it: encode it without
// adding another.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/template.h"
#include "model/jinja/value.h"

namespace expertmesh {

struct ChatMessage {
  std::string role;                    // "system", "user", "assistant", "tool", ...
  std::optional<std::string> content;  // none: the template sees none, as with a bare tool call
  // What else there is, by name: tool_calls, name, reasoning_content, ... (json_value.h).
  std::vector<std::pair<std::string, jinja::Value>> fields = {};
};

struct ChatOptions {
  bool add_generation_prompt = true;  // ends where the assistant is to begin
  jinja::Value tools = jinja::Value::None();
  // What else the template may ask for, such as "thinking".
  std::vector<std::pair<std::string, jinja::Value>> variables = {};
  jinja::Limits limits = {};
};

// Threads  Render from any.
class ChatTemplate {
 public:
  // Reads `folder`/chat_template.jinja, else the chat_template of `folder`/tokenizer_config.json
  // (of several, the one named "default"); the special tokens from the latter. Errors  NOT_FOUND:
  // the checkpoint has no template; INVALID_ARGUMENT: the file, and what in it is
  //         wrong or not supported, with line and column.
  static absl::StatusOr<ChatTemplate> Open(const std::string& folder);

  // `special_tokens` are names such as bos_token with their text.
  static absl::StatusOr<ChatTemplate> Parse(
      absl::string_view source, std::vector<std::pair<std::string, std::string>> special_tokens);

  // Errors  INVALID_ARGUMENT: the template's own objection (raise_exception), or where and why it
  //         cannot render this; a message that is no dict, text that is not UTF-8, a variable with
  //         a name that is taken. RESOURCE_EXHAUSTED: one of the limits.
  absl::StatusOr<std::string> Render(const std::vector<ChatMessage>& messages,
                                     const ChatOptions& options = {}) const;
  // `messages` is a list of dicts.
  absl::StatusOr<std::string> Render(const jinja::Value& messages,
                                     const ChatOptions& options = {}) const;

 private:
  ChatTemplate(jinja::Template parsed,
               std::vector<std::pair<std::string, std::string>> special_tokens)
      : template_(std::move(parsed)), special_tokens_(std::move(special_tokens)) {}

  jinja::Template template_;
  std::vector<std::pair<std::string, std::string>> special_tokens_;
};

}  // namespace expertmesh
