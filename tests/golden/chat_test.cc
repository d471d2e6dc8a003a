// What chat templates give, against what transformers gave for them (tools/chat_goldens.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/chat/chat_template.h"
#include "model/chat/json_value.h"
#include "model/checkpoint/input_file.h"
#include "model/jinja/template.h"

namespace expertmesh {
namespace {

using jinja::Value;

const std::string& Folder() {
  static const std::string& folder = *new std::string(EXPERTMESH_SOURCE_DIR "/tests/golden/chat");
  return folder;
}

std::string ReadFile(const std::string& name) {
  absl::StatusOr<std::string> text = ReadTextFile(Folder(), name, 1 << 24);
  if (!text.ok()) ADD_FAILURE() << text.status();
  return text.value_or("");
}

Value ReadJson(const std::string& name) {
  absl::StatusOr<Value> value = ParseJsonValue(ReadFile(name));
  if (!value.ok()) ADD_FAILURE() << name << ": " << value.status();
  return value.value_or(Value());
}

const Value& Field(const Value& object, const char* name) {
  static const Value& nothing = *new Value();
  const Value* found = object.dict().Find(name);
  return found == nullptr ? nothing : *found;
}

// A golden has "text", "raised" or "error".
void ExpectAsGolden(const absl::StatusOr<std::string>& given, const Value& golden) {
  if (const Value& text = Field(golden, "text"); text.is_text()) {
    ASSERT_TRUE(given.ok()) << given.status();
    EXPECT_EQ(*given, text.text());
    return;
  }
  ASSERT_FALSE(given.ok()) << "rendered: " << *given;
  EXPECT_EQ(given.status().code(), absl::StatusCode::kInvalidArgument) << given.status();
  if (const Value& raised = Field(golden, "raised"); raised.is_text()) {
    EXPECT_EQ(given.status().message(), raised.text());
  } else {
    EXPECT_THAT(std::string(given.status().message()), testing::StartsWith("line "));
  }
}

class PublishedTemplate : public testing::TestWithParam<const char*> {};

TEST_P(PublishedTemplate, RendersEachConversationAsTransformersDoes) {
  const std::string name = GetParam();
  const Value shared = ReadJson("conversations.json");
  std::vector<std::pair<std::string, std::string>> tokens;
  for (const auto& [token, text] : Field(shared, "special_tokens").dict().items) {
    tokens.emplace_back(token.text(), text.text());
  }
  const auto parsed =
      ChatTemplate::Parse(ReadFile(absl::StrCat("templates/", name, ".jinja")), tokens);
  ASSERT_TRUE(parsed.ok()) << parsed.status();

  const std::vector<Value>& conversations = Field(shared, "conversations").list().items;
  const Value file = ReadJson(absl::StrCat(name, ".json"));
  const std::vector<Value>& goldens = Field(file, "goldens").list().items;
  ASSERT_EQ(goldens.size(), conversations.size());
  ASSERT_GE(goldens.size(), 30u);
  for (size_t i = 0; i < goldens.size(); ++i) {
    const Value& conversation = conversations[i];
    SCOPED_TRACE(Field(conversation, "name").text());
    ASSERT_EQ(Field(goldens[i], "name").text(), Field(conversation, "name").text());
    ChatOptions options;
    if (const Value& tools = Field(conversation, "tools"); tools.is_list()) options.tools = tools;
    if (const Value& variables = Field(conversation, "variables"); variables.is_dict()) {
      for (const auto& [key, value] : variables.dict().items) {
        options.variables.emplace_back(key.text(), value);
      }
    }
    for (const char* form : {"plain", "prompt"}) {
      SCOPED_TRACE(form);
      options.add_generation_prompt = form == std::string("prompt");
      ExpectAsGolden(parsed->Render(Field(conversation, "messages"), options),
                     Field(goldens[i], form));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(DeepSeek, PublishedTemplate,
                         testing::Values("deepseek-v2", "deepseek-v2.5", "deepseek-v3",
                                         "deepseek-v3-0324", "deepseek-v3.1", "deepseek-r1",
                                         "deepseek-r1-distill", "own-alternating", "own-tools"));

TEST(Snippets, GiveWhatJinja2Gives) {
  const Value file = ReadJson("snippets.json");
  const std::vector<Value>& snippets = Field(file, "snippets").list().items;
  ASSERT_GE(snippets.size(), 150u);
  Value::Pairs variables = Field(file, "variables").dict().items;
  for (const char* none : {"tools", "documents"}) {
    variables.emplace_back(Value::Text(none), Value::None());
  }
  variables.emplace_back(Value::Text("messages"), Value::ListOf({}));
  const Value given = Value::DictOf(variables);
  for (const Value& snippet : snippets) {
    const std::string source(Field(snippet, "template").text());
    SCOPED_TRACE(source);
    const auto parsed = jinja::Template::Parse(source);
    if (!parsed.ok()) {
      // Python finds some of it later, or renders what we refuse: see the test below.
      ExpectAsGolden(parsed.status(), snippet);
      continue;
    }
    ExpectAsGolden(parsed->Render(given), snippet);
  }
}

}  // namespace
}  // namespace expertmesh
