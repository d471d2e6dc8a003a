// Hostile chat templates: whatever the bytes, Parse and Render end soon, with text or a Status.
//
// The input is a template and, after a zero byte, the messages as JSON; without one, a fixed
// conversation.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/check.h"
#include "model/chat/chat_template.h"
#include "model/chat/json_value.h"

namespace expertmesh {
namespace {

constexpr absl::string_view kMessages = R"([
  {"role": "system", "content": "be brief"}, {"role": "user", "content": " h\u00e9 \ud83d\ude00\n"},
  {"role": "assistant", "content": null, "tool_calls": [
    {"type": "function", "function": {"name": "f", "arguments": {"a": [1, 2.5, true, null]}}}]},
  {"role": "tool", "content": "42"}, {"role": "assistant", "content": "<think>x</think>y"}])";

// Small enough that a template in a loop does not slow down the search.
constexpr jinja::Limits kLimits = {
    .steps_max = 20'000, .bytes_max = 1 << 20, .output_bytes_max = 1 << 18};

void RenderHostile(absl::string_view input) {
  const size_t zero = input.find('\0');
  const bool has_messages = zero != absl::string_view::npos;
  absl::StatusOr<jinja::Value> messages =
      ParseJsonValue(has_messages ? input.substr(zero + 1) : kMessages);
  const absl::StatusOr<ChatTemplate> parsed =
      ChatTemplate::Parse(input.substr(0, zero), {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
  if (!parsed.ok()) {
    CHECK(absl::IsInvalidArgument(parsed.status()), "a template is refused as one");
    return;
  }
  if (!messages.ok()) return;
  ChatOptions options;
  options.limits = kLimits;
  options.tools = *messages;
  const absl::StatusOr<std::string> text = parsed->Render(*messages, options);
  CHECK(text.ok() || absl::IsInvalidArgument(text.status()) ||
            absl::IsResourceExhausted(text.status()),
        "a rendering fails for the template's or the limits' sake");
  CHECK(!text.ok() || text->size() <= size_t{kLimits.output_bytes_max}, "output within its limit");
}

}  // namespace
}  // namespace expertmesh

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  expertmesh::RenderHostile(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
