#include "coordinator/text/text_model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/utf8.h"

namespace expertmesh {
namespace {

class TokensOnlyModel final : public TextModel {
 public:
  explicit TokensOnlyModel(std::string name) : name_(std::move(name)) {}
  const std::string& name() const override { return name_; }
  int32_t vocabulary() const override { return 0; }
  int32_t max_context() const override { return kMostContext; }
  const GenerationConfig& defaults() const override { return defaults_; }
  bool has_text() const override { return false; }
  bool has_chat() const override { return false; }
  absl::StatusOr<std::vector<int32_t>> Tokenize(absl::string_view, bool) const override {
    return absl::FailedPreconditionError("no tokenizer");
  }
  absl::StatusOr<std::string> RenderChat(const ChatPrompt&) const override {
    return absl::FailedPreconditionError("no chat template");
  }
  absl::string_view BytesOf(int32_t, bool) const override { return {}; }

 private:
  const std::string name_;
  const GenerationConfig defaults_;
};

}  // namespace

std::string TextOf(const TextModel& model, const std::vector<int32_t>& ids, bool special_tokens) {
  Utf8Stream utf8;
  std::string text;
  for (int32_t id : ids) text += utf8.Push(model.BytesOf(id, special_tokens));
  return text + utf8.Flush();
}

absl::Status NeedText(const TextModel& model, absl::string_view what) {
  if (model.has_text()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(what, " needs a tokenizer, and model ", model.name(),
                   " has none at this front door; token_ids are taken"));
}

std::shared_ptr<const TextModel> TokensOnly(std::string name) {
  return std::make_shared<TokensOnlyModel>(std::move(name));
}

}  // namespace expertmesh
