// test_model.h: for tests of this room: one token per byte, ids 0 to 255; 256 begins a text, 257
// ends one, both special.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/text/text_model.h"

namespace expertmesh {

class ByteModel final : public TextModel {
 public:
  const std::string& name() const override { return name_; }
  int32_t vocabulary() const override { return 300; }
  int32_t max_context() const override { return context; }
  const GenerationConfig& defaults() const override { return config; }
  bool has_text() const override { return text; }
  bool has_chat() const override { return chat; }
  absl::StatusOr<std::vector<int32_t>> Tokenize(absl::string_view bytes,
                                                bool special) const override {
    std::vector<int32_t> ids;
    if (special) ids.push_back(256);
    for (char c : bytes) ids.push_back(static_cast<uint8_t>(c));
    return ids;
  }
  absl::StatusOr<std::string> RenderChat(const ChatPrompt& prompt) const override {
    std::string out;
    for (const ChatTurn& message : prompt.messages) {
      if (message.content == "bad") return absl::InvalidArgumentError("the template objects");
      if (message.content == "large") return absl::ResourceExhaustedError("more than 8 bytes");
      absl::StrAppend(&out, message.role, ":", message.content, ";");
    }
    return out + (prompt.add_generation_prompt ? "assistant:" : "");
  }
  absl::string_view BytesOf(int32_t id, bool special_tokens) const override {
    if (id < 256) return absl::string_view(bytes_).substr(id, 1);
    if (!special_tokens) return {};
    return id == 256 ? "<s>" : id == 257 ? "</s>" : "";
  }

  GenerationConfig config;
  bool text = true, chat = true;
  int32_t context = 20000;

 private:
  static std::string AllBytes() {
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
    return bytes;
  }
  std::string name_ = "bytes";
  std::string bytes_ = AllBytes();
};

inline std::vector<int32_t> IdsOf(absl::string_view text) {
  std::vector<int32_t> ids;
  for (char c : text) ids.push_back(static_cast<uint8_t>(c));
  return ids;
}

}  // namespace expertmesh
