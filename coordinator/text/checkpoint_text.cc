#include "coordinator/text/checkpoint_text.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/chat/chat_template.h"
#include "model/checkpoint/input_file.h"
#include "model/config.h"
#include "model/tokenizer/tokenizer.h"

namespace expertmesh {
namespace {

constexpr char kConfigFile[] = "config.json";
constexpr char kGenerationFile[] = "generation_config.json";
constexpr uint64_t kMostConfigBytes = uint64_t{4} << 20;

class CheckpointText final : public TextModel {
 public:
  const std::string& name() const override { return name_; }
  int32_t vocabulary() const override { return vocabulary_; }
  int32_t max_context() const override { return max_context_; }
  const GenerationConfig& defaults() const override { return defaults_; }
  bool has_text() const override { return tokenizer_ != nullptr; }
  bool has_chat() const override { return chat_.has_value(); }

  absl::StatusOr<std::vector<int32_t>> Tokenize(absl::string_view text,
                                                bool special) const override {
    return special ? tokenizer_->Encode(text) : tokenizer_->EncodeChat(text);
  }
  absl::StatusOr<std::string> RenderChat(const ChatPrompt& chat) const override {
    std::vector<ChatMessage> messages;
    for (const ChatTurn& turn : chat.messages) messages.push_back({turn.role, turn.content});
    return chat_->Render(messages, {.add_generation_prompt = chat.add_generation_prompt});
  }
  absl::string_view BytesOf(int32_t id, bool special_tokens) const override {
    if (tokenizer_ == nullptr) return {};
    const Vocabulary& vocabulary = tokenizer_->vocabulary();
    if (!special_tokens && vocabulary.is_special(id)) return {};
    return vocabulary.bytes(id);
  }

  absl::Status Load(const std::string& folder) {
    ASSIGN_OR_RETURN(std::string config_text, ReadTextFile(folder, kConfigFile, kMostConfigBytes));
    absl::StatusOr<ModelConfig> config = ParseModelConfig(config_text);
    if (!config.ok()) return Annotate(config.status(), kConfigFile);
    vocabulary_ = static_cast<int32_t>(config->vocabulary);
    max_context_ = static_cast<int32_t>(std::min<int64_t>(config->max_position, kMostContext));
    RETURN_IF_ERROR(LoadDefaults(folder));
    auto tokenizer = Tokenizer::Open(folder);
    if (absl::IsNotFound(tokenizer.status())) return absl::OkStatus();
    RETURN_IF_ERROR(tokenizer.status());
    tokenizer_ = *std::move(tokenizer);
    if (tokenizer_->vocabulary().size() > vocabulary_) {
      return absl::InvalidArgumentError(
          absl::StrCat("tokenizer.json has ids up to ", tokenizer_->vocabulary().size() - 1,
                       "; config.json's vocab_size is ", vocabulary_));
    }
    absl::StatusOr<ChatTemplate> chat = ChatTemplate::Open(folder);
    if (absl::IsNotFound(chat.status())) return absl::OkStatus();
    RETURN_IF_ERROR(chat.status());
    chat_ = *std::move(chat);
    return absl::OkStatus();
  }
  void SetName(std::string name) { name_ = std::move(name); }

 private:
  absl::Status LoadDefaults(const std::string& folder) {
    absl::StatusOr<std::string> text = ReadTextFile(folder, kGenerationFile, kMostConfigBytes);
    if (absl::IsNotFound(text.status())) return absl::OkStatus();
    RETURN_IF_ERROR(text.status());
    absl::StatusOr<GenerationConfig> defaults = ParseGenerationConfig(*text);
    if (!defaults.ok()) return Annotate(defaults.status(), kGenerationFile);
    defaults_ = *defaults;
    return absl::OkStatus();
  }

  std::string name_;
  int32_t vocabulary_ = 0, max_context_ = 0;
  GenerationConfig defaults_;
  std::unique_ptr<Tokenizer> tokenizer_;  // null: none
  std::optional<ChatTemplate> chat_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const TextModel>> OpenTextModel(const std::string& folder,
                                                               const std::string& name) {
  auto model = std::make_shared<CheckpointText>();
  RETURN_IF_ERROR(model->Load(folder));
  const std::filesystem::path path = std::filesystem::path(folder).lexically_normal();
  const std::string last = (path.has_filename() ? path : path.parent_path()).filename().string();
  model->SetName(name.empty() ? last : name);
  return model;
}

}  // namespace expertmesh
