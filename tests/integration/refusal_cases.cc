#include "tests/integration/refusal_cases.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "expertmesh/v1/generation.pb.h"

namespace expertmesh {
namespace {

constexpr char kStream[] = "GenerateStream";

std::string Shown(const std::string& method, const std::string& request) {
  return method == kStream ? request : absl::StrCat(method, ": ", request);
}

// A request whose text format is short enough to show.
RefusalCase Call(const std::string& method, const std::string& text, Door door = Door::kTiny) {
  return {method, Shown(method, absl::StrCat("`", text, "`")), RequestBytes(method, text), door};
}
RefusalCase Ask(const std::string& text, Door door = Door::kTiny) {
  return Call(kStream, text, door);
}
RefusalCase Hi(const std::string& rest) { return Ask("text: \"Hi\" " + rest); }

// One that is told in words.
RefusalCase Words(const std::string& method, const std::string& words, const std::string& bytes,
                  Door door = Door::kTiny) {
  return {method, Shown(method, words), bytes, door};
}
RefusalCase Many(const std::string& words, const std::string& text) {
  return Words(kStream, words, RequestBytes(kStream, text));
}

std::string Repeat(int count, const std::string& text) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

// "5, 5, 5" and "0, 1, 2".
std::string Ids(int count, int step) {
  std::string ids;
  for (int i = 0; i < count; ++i) absl::StrAppend(&ids, i == 0 ? "" : ", ", step == 0 ? 5 : i);
  return ids;
}

// A valid request with a byte that is no UTF-8 in the place of each '~'.
RefusalCase NotUtf8(const std::string& method, std::string text) {
  std::string bytes = RequestBytes(method, text);
  for (char& c : bytes) c = c == '~' ? '\xFF' : c;
  for (size_t at = text.find('~'); at != text.npos; at = text.find('~'))
    text.replace(at, 1, "\\377");
  return Words(method, absl::StrCat("`", text, "`"), bytes);
}

RefusalGroup Prompts() {
  const std::string hi = RequestBytes(kStream, "text: \"Hi\"");
  return {
      "The prompt",
      {
          Words(kStream, "an empty message", ""),
          Ask("text: \"\""),
          Ask("token_ids {}"),
          Ask("token_ids { ids: [5, -1] }"),
          Ask("token_ids { ids: [5, 2048] }"),
          Ask("token_ids { ids: [5, 2048] }", Door::kTokensOnly),
          Many("`token_ids` with 4096 ids (the worker's context)",
               absl::StrCat("token_ids { ids: [", Ids(4096, 0), "] }")),
          Many("`token_ids` with 10240 ids (the model's context)",
               absl::StrCat("token_ids { ids: [", Ids(10240, 0), "] }")),
          Words(kStream, "`token_ids` with 1048577 ids",
                RequestBytes(kStream, absl::StrCat("token_ids { ids: [", Ids(1048577, 0), "] }")),
                Door::kTokensOnly),
          Many("`text` of 16777217 bytes",
               absl::StrCat("text: \"", std::string((16 << 20) + 1, 'a'), "\"")),
          Hi("model: \"other\""),
          Ask("text: \"Hi\"", Door::kTokensOnly),
          Ask("token_ids { ids: 5 } output { echo: true }", Door::kTokensOnly),
          Ask("token_ids { ids: 5 } stopping { stop: \"END\" }", Door::kTokensOnly),
          NotUtf8(kStream, "text: \"H~\""),
          NotUtf8(kStream, "text: \"Hi\" request_id: \"a~\""),
          Hi("priority: 101"),
          Hi("priority: -101"),
          NotUtf8(kStream, "text: \"Hi\" cache_salt: \"~\""),
          Many("`text: \"Hi\"`, and a `cache_salt` of 129 bytes",
               absl::StrCat("text: \"Hi\" cache_salt: \"", std::string(129, 'x'), "\"")),
          NotUtf8(kStream, "text: \"Hi\" model: \"a~\""),
          Many("`text: \"Hi\"`, and a `request_id` of 129 bytes",
               absl::StrCat("text: \"Hi\" request_id: \"", std::string(129, 'x'), "\"")),
          Words(kStream, "the first 3 of the 4 bytes of `text: \"Hi\"`", hi.substr(0, 3)),
          Words(kStream, "the byte 0xFF", "\xFF"),
          Words(kStream, "a message of 33554433 bytes",
                RequestBytes(kStream,
                             absl::StrCat("text: \"", std::string((32 << 20) - 4, 'a'), "\""))),
      }};
}

RefusalGroup Chats() {
  return {"A conversation",
          {
              Ask("chat {}"),
              Many("`chat` with 4097 messages",
                   absl::StrCat("chat { ", Repeat(4097, "messages { role: \"user\" } "), "}")),
              Ask("chat { messages { content: \"Hi\" } }"),
              Ask("chat { messages { role: \"robot\" content: \"Hi\" } }"),
              NotUtf8(kStream, "chat { messages { role: \"user\" content: \"H~\" } }"),
              NotUtf8(kStream, "chat { messages { role: \"~\" } }"),
              Many("`chat` with a message of 8388609 bytes",
                   absl::StrCat("chat { messages { role: \"user\" content: \"",
                                std::string((8 << 20) + 1, 'a'), "\" } }")),
              Ask("chat { messages { role: \"system\" content: \"Hi\" } }", Door::kStrict),
              Ask("chat { messages { role: \"user\" content: \"Hi\" } }", Door::kNoTemplate),
              Ask("chat { messages { role: \"user\" content: \"Hi\" } }", Door::kTokensOnly),
          }};
}

// Numbers that are none, and those just beyond a bound.
RefusalGroup Numbers() {
  RefusalGroup group{"Sampling: numbers", {}};
  const auto add = [&](const std::string& field, std::vector<std::string> values) {
    for (const std::string& value : values) {
      group.cases.push_back(Hi(absl::StrCat("sampling { ", field, ": ", value, " }")));
    }
  };
  add("temperature", {"-0.5", "100.5", "100.00001", "nan", "inf", "-inf"});
  add("top_k", {"-1"});
  add("top_p", {"0", "-0.5", "1.5", "nan", "inf", "-inf"});
  add("min_p", {"-0.5", "1.5", "nan", "inf", "-inf"});
  add("presence_penalty", {"-2.5", "2.5", "nan", "inf", "-inf"});
  add("frequency_penalty", {"-2.5", "2.5", "nan", "inf", "-inf"});
  add("repetition_penalty", {"0", "-1", "100.5", "nan", "inf", "-inf"});
  add("n", {"0", "-1", "129", "128"});
  group.cases.push_back(Hi("sampling { n: 128 } stopping { max_tokens: 8193 }"));
  return group;
}

RefusalGroup Lists() {
  const auto biases = [](int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      absl::StrAppend(&text, "logit_bias { id: ", i, " bias: 1 } ");
    }
    return text;
  };
  RefusalGroup group{"Sampling: lists of ids", {}};
  for (const char* bias : {"100.5", "-100.5", "nan", "inf", "-inf"}) {
    group.cases.push_back(Hi(absl::StrCat("sampling { logit_bias { id: 5 bias: ", bias, " } }")));
  }
  for (const char* text :
       {"logit_bias { id: -1 bias: 1 }", "logit_bias { id: 2048 bias: 1 }",
        "logit_bias { id: 5 bias: 1 } logit_bias { id: 5 bias: 2 }", "logit_bias { id: 5 }",
        "logit_bias { bias: 1 }", "allowed_tokens {}", "allowed_tokens { ids: -1 }",
        "allowed_tokens { ids: [7, 2048] }", "allowed_tokens { ids: [7, 5, 7] }"}) {
    group.cases.push_back(Hi(absl::StrCat("sampling { ", text, " }")));
  }
  group.cases.push_back(Many("`text: \"Hi\"`, and 1025 of `logit_bias`",
                             absl::StrCat("text: \"Hi\" sampling { ", biases(1025), "}")));
  group.cases.push_back(Many(
      "`text: \"Hi\"`, and `allowed_tokens` with 16385 ids",
      absl::StrCat("text: \"Hi\" sampling { allowed_tokens { ids: [", Ids(16385, 1), "] } }")));
  return group;
}

RefusalGroup Stopping() {
  RefusalGroup group{"Stopping and output", {}};
  for (const char* text :
       {"max_tokens: 0", "max_tokens: -1", "max_tokens: 10240", "max_tokens: 4095",
        "max_tokens: 2147483647", "max_tokens: 5 min_tokens: -1", "max_tokens: 5 min_tokens: 6",
        "min_tokens: -1", "min_tokens: 5000", "stop: \"\"", "stop_token_ids: -1",
        "stop_token_ids: [5, 2048]"}) {
    group.cases.push_back(Hi(absl::StrCat("stopping { ", text, " }")));
  }
  group.cases.push_back(
      Hi("sampling { allowed_tokens { ids: [1, 7] } } "
         "stopping { min_tokens: 2 stop_token_ids: 7 }"));
  group.cases.push_back(NotUtf8(kStream, "text: \"Hi\" stopping { stop: \"ok\" stop: \"E~\" }"));
  group.cases.push_back(
      Many("`text: \"Hi\"`, and a `stop` of 257 bytes",
           absl::StrCat("text: \"Hi\" stopping { stop: \"", std::string(257, 'x'), "\" }")));
  group.cases.push_back(
      Many("`text: \"Hi\"`, and 17 of `stop`",
           absl::StrCat("text: \"Hi\" stopping { ", Repeat(17, "stop: \"x\" "), "}")));
  group.cases.push_back(
      Many("`text: \"Hi\"`, and 65 `stop_token_ids`",
           absl::StrCat("text: \"Hi\" stopping { stop_token_ids: [", Ids(65, 0), "] }")));
  group.cases.push_back(Hi("output { top_logprobs: -1 }"));
  group.cases.push_back(Hi("output { top_logprobs: 1025 }"));
  return group;
}

RefusalGroup Resuming() {
  RefusalGroup group{"Resume", {}};
  for (const char* text :
       {"sampling { temperature: 1 } resume { token_ids: 5 }",
        "sampling { seed: 1 n: 2 } stopping { max_tokens: 5 } resume { choice: 2 }",
        "sampling { seed: 1 } resume { choice: -1 }",
        "sampling { seed: 1 } stopping { max_tokens: 2 } resume { token_ids: [5, 6] }",
        "resume { token_ids: [5, -1] }", "resume { token_ids: [5, 2048] }",
        "resume { token_ids: [5, 1] }"}) {
    group.cases.push_back(Hi(text));
  }
  group.cases.push_back(
      Many("`text: \"Hi\"`, and `resume` with 4094 `token_ids`",
           absl::StrCat("text: \"Hi\" resume { token_ids: [", Ids(4094, 0), "] }")));
  return group;
}

RefusalGroup OtherMethods() {
  return {"Other methods",
          {
              Words("Abort", "an empty message", ""),
              Call("Abort", "request_id: \"\""),
              NotUtf8("Abort", "request_id: \"~\""),
              Words("Tokenize", "an empty message", ""),
              NotUtf8("Tokenize", "text: \"H~\""),
              Words("Tokenize", "`text` of 16777217 bytes",
                    RequestBytes("Tokenize",
                                 absl::StrCat("text: \"", std::string((16 << 20) + 1, 'a'), "\""))),
              Call("Tokenize", "text: \"Hi\"", Door::kTokensOnly),
              Call("Detokenize", "token_ids: [5, -1]"),
              Call("Detokenize", "token_ids: 2048"),
              Words("Detokenize", "1048577 `token_ids`",
                    RequestBytes("Detokenize", absl::StrCat("token_ids: [", Ids(1048577, 0), "]"))),
              Call("Detokenize", "token_ids: 5", Door::kTokensOnly),
              Words("ListModels", "the byte 0xFF", "\xFF"),
              Words("GetServerInfo", "the byte 0xFF", "\xFF"),
              Words("Rerank", "a method that does not exist", ""),
          }};
}

RefusalGroup Heads() {
  return {"Embeddings and classes",
          {
              Words("Embed", "an empty message", ""),
              Words("Embed", "the byte 0xFF", "\xFF"),
              Call("Embed", "token_ids {}"),
              Call("Embed", "token_ids { ids: [5, 2048] }"),
              Call("Embed", "text: \"Hi\" request_id: \"a\" model: \"other\""),
              Call("Embed", "text: \"Hi\" priority: 101"),
              Words("Embed", "`text: \"Hi\"`, and `pooling` 9",
                    RequestBytes("Embed", "text: \"Hi\"") + std::string("\xa0\x01\x09")),
              Words("Embed", "`token_ids` with 4097 ids (the worker's context is 4096)",
                    RequestBytes("Embed", absl::StrCat("token_ids { ids: [", Ids(4097, 0), "] }"))),
              NotUtf8("Embed", "text: \"H~\""),
              Call("Embed", "text: \"Hi\"", Door::kTokensOnly),
              Call("Embed", "text: \"Hi\"", Door::kHalfCovered),
              Words("Classify", "an empty message", ""),
              Call("Classify", "token_ids { ids: [5, -1] }"),
              Call("Classify", "token_ids { ids: [5, 6] }"),
          }};
}

RefusalGroup Later() {
  RefusalCase aborted = Hi("request_id: \"mine\" stopping { max_tokens: 4000 ignore_eos: true }");
  aborted.shown += ", then `Abort` with `request_id: \"mine\"`";
  aborted.abort = "mine";
  RefusalCase large = Call("Generate",
                           "text: \"Hi\" sampling { n: 64 } output { top_logprobs: 1024 } "
                           "stopping { max_tokens: 40 ignore_eos: true }");
  return {"What the fleet cannot do, and requests that end later",
          {
              Ask("text: \"Hi\"", Door::kEmpty),
              Ask("text: \"Hi\"", Door::kNoAttention),
              Ask("text: \"Hi\"", Door::kHalfCovered),
              Ask("text: \"Hi\"", Door::kBusy),
              std::move(aborted),
              std::move(large),
          }};
}

}  // namespace

std::string RequestBytes(const std::string& method, const std::string& text) {
  const google::protobuf::Descriptor* type = v1::GenerateRequest::descriptor()
                                                 ->file()
                                                 ->FindServiceByName("Generation")
                                                 ->FindMethodByName(method)
                                                 ->input_type();
  auto* factory = google::protobuf::MessageFactory::generated_factory();
  const std::unique_ptr<google::protobuf::Message> message(factory->GetPrototype(type)->New());
  CHECK(google::protobuf::TextFormat::ParseFromString(text, message.get()), "a case is mistyped");
  return message->SerializeAsString();
}

std::vector<RefusalGroup> RefusalCases() {
  return {Prompts(),  Chats(), Numbers(),      Lists(), Stopping(),
          Resuming(), Heads(), OtherMethods(), Later()};
}

}  // namespace expertmesh
