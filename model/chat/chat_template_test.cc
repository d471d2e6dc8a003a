#include "model/chat/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/chat/json_value.h"
#include "model/json_fields.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using jinja::Value;
using testing::HasSubstr;

constexpr char kRoles[] = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";

Value Json(absl::string_view text) {
  absl::StatusOr<Value> value = ParseJsonValue(text);
  EXPECT_TRUE(value.ok()) << value.status();
  return value.value_or(Value());
}

TEST(ChatTemplate, IsReadFromTheTokenizerConfig) {
  CheckpointFolder folder(CheckpointFolder::kEmpty);
  folder.Write("tokenizer_config.json",
               R"({"chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}",
                   "bos_token": {"__type": "AddedToken", "content": "<b>"}, "eos_token": "<e>",
                   "unk_token": null})");
  const auto chat = ChatTemplate::Open(folder.path());
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_EQ(*chat->Render({{"user", "x"}}), "<b>x<e>");
}

TEST(ChatTemplate, PrefersItsOwnFile) {
  CheckpointFolder folder(CheckpointFolder::kEmpty);
  folder.Write("chat_template.jinja", "own {{ bos_token }}\n");
  EXPECT_EQ(*ChatTemplate::Open(folder.path())->Render({{"user", "x"}}), "own ");
  folder.Write("tokenizer_config.json", R"({"chat_template": "other", "bos_token": "<b>"})");
  EXPECT_EQ(*ChatTemplate::Open(folder.path())->Render({{"user", "x"}}), "own <b>");
}

TEST(ChatTemplate, TakesTheDefaultOfSeveral) {
  CheckpointFolder folder(CheckpointFolder::kEmpty);
  folder.Write("tokenizer_config.json",
               R"({"chat_template": [{"name": "tool_use", "template": "{{ unknown( }}"},
                                     {"name": "default", "template": "this"}]})");
  EXPECT_EQ(*ChatTemplate::Open(folder.path())->Render({{"user", "x"}}), "this");
  folder.Write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "x"}]})");
  EXPECT_EQ(ChatTemplate::Open(folder.path()).status().code(), absl::StatusCode::kNotFound);
}

TEST(ChatTemplate, SaysThatACheckpointHasNone) {
  CheckpointFolder folder(CheckpointFolder::kEmpty);
  const absl::Status without_files = ChatTemplate::Open(folder.path()).status();
  EXPECT_EQ(without_files.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(without_files.message()), HasSubstr("no chat template"));
  folder.Write("tokenizer_config.json", R"({"bos_token": "<b>", "chat_template": null})");
  EXPECT_EQ(ChatTemplate::Open(folder.path()).status().code(), absl::StatusCode::kNotFound);
}

TEST(ChatTemplate, NamesTheFileOfWhatItRefuses) {
  const std::pair<const char*, const char*> kConfigs[] = {
      {R"({"chat_template": "a\n{% macro x() %}"})",
       "tokenizer_config.json: chat_template: line 2, column 4: unsupported statement 'macro'"},
      {R"({"chat_template": 5})", "expected a string or a list of templates"},
      {R"({"chat_template": ["x"]})", "expected an object with name and template"},
      {R"({"chat_template": "x", "bos_token": 5})", "bos_token: found 5"},
      {R"({"chat_template": "x", "eos_token": {"id": 1}})", "eos_token: found an object of 1"},
      {R"({"chat_template": "x",})", "tokenizer_config.json: not JSON"},
  };
  for (const auto& [config, message] : kConfigs) {
    CheckpointFolder folder(CheckpointFolder::kEmpty);
    folder.Write("tokenizer_config.json", config);
    const absl::Status status = ChatTemplate::Open(folder.path()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << config;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << config;
  }
  CheckpointFolder folder(CheckpointFolder::kEmpty);
  folder.Write("chat_template.jinja", "{{ x | nope }}");
  EXPECT_THAT(std::string(ChatTemplate::Open(folder.path()).status().message()),
              HasSubstr("chat_template.jinja: line 1, column 8: unsupported filter 'nope'"));
}

TEST(ChatTemplate, SeesMessagesToolsAndVariables) {
  const auto chat = ChatTemplate::Parse(
      "{{ messages[1].tool_calls[0].function.name }} {{ messages[1].content is none }} "
      "{{ tools | tojson }} {{ documents is none }} {{ add_generation_prompt }} {{ thinking }}",
      {});
  ASSERT_TRUE(chat.ok()) << chat.status();
  ChatOptions options;
  options.add_generation_prompt = false;
  options.tools = Json(R"([{"z": 1, "a": 2}])");
  options.variables = {{"thinking", Value::Bool(true)}};
  const std::vector<ChatMessage> messages = {
      {"user", "x"},
      {"assistant", std::nullopt, {{"tool_calls", Json(R"([{"function": {"name": "f"}}])")}}}};
  EXPECT_EQ(*chat->Render(messages, options), R"(f True [{"z": 1, "a": 2}] True False True)");
}

TEST(ChatTemplate, GivesReasoningTheNamesThatTemplatesAskFor) {
  const auto chat = ChatTemplate::Parse("{{ messages[0] | tojson }}", {});
  EXPECT_EQ(*chat->Render({{"assistant", "4", {{"reasoning", Value::Text("add")}}}}),
            R"({"thinking": "add", "role": "assistant", "content": "4", "reasoning": "add", )"
            R"("reasoning_content": "add"})");
  EXPECT_EQ(*chat->Render({{"assistant", "4", {{"reasoning", Value::None()}}}}),
            R"({"role": "assistant", "content": "4", "reasoning": null})");
}

TEST(ChatTemplate, RefusesMessagesAndVariablesThatItCannotTake) {
  const auto chat = ChatTemplate::Parse(kRoles, {{"bos_token", "<b>"}});
  ASSERT_TRUE(chat.ok());
  EXPECT_EQ(*chat->Render({{"user", "hi"}, {"tool", std::nullopt}}), "[user]hi[tool]None");
  for (const char* name : {"messages", "tools", "documents", "add_generation_prompt"}) {
    EXPECT_EQ(chat->Render({{"user", "x"}}, {.variables = {{name, Value::None()}}}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(chat->Render({{"user", "x"}}, {.variables = {{"bos_token", Value::None()}}}).ok());
  EXPECT_FALSE(chat->Render({{"user", "x", {{"role", Value::None()}}}}).ok());
  EXPECT_FALSE(chat->Render({{"user", "\xff"}}).ok());
  EXPECT_FALSE(chat->Render(Json(R"(["x"])")).ok());
  EXPECT_FALSE(chat->Render(Json(R"({"role": "user"})")).ok());
}

TEST(JsonValue, KeepsTheOrderOfKeysAndTheKindsOfNumbers) {
  const auto chat = ChatTemplate::Parse("{{ tools | tojson }}", {});
  for (const char* text :
       {R"({"b": [1, 1.0, -2, true, false, null], "a": {}, "": []})", R"("\u00e9\n")", "5"}) {
    const std::string expected = text == std::string(R"("\u00e9\n")") ? "\"é\\n\"" : text;
    EXPECT_EQ(*chat->Render({{"user", ""}}, {.tools = Json(text)}), expected);
  }
}

TEST(JsonValue, RefusesWhatReadersDisagreeOn) {
  const std::string deep(kJsonDepthMax, '[');
  for (const std::string& text :
       {std::string(R"({"a": 1, "a": 2})"), std::string("9223372036854775808"), std::string("[1,]"),
        std::string(""), std::string("NaN"), std::string("1 2"), std::string("\"\xff\""),
        "[" + deep + std::string(deep.size(), ']') + "]"}) {
    EXPECT_EQ(ParseJsonValue(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_TRUE(ParseJsonValue(deep + std::string(deep.size(), ']')).ok());
  EXPECT_TRUE(ParseJsonValue("9223372036854775807").ok());
}

}  // namespace
}  // namespace expertmesh
