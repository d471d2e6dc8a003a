// text_model.h: what the front door knows of the model: its tokens' text, its chat template, what
// its checkpoint recommends.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "generation/user_request.h"
#include "model/generation_config.h"

namespace expertmesh {

// Immutable. Threads: any, at the same time.
class TextModel {
 public:
  virtual ~TextModel() = default;

  virtual const std::string& name() const = 0;
  // Token ids are below it; 0: not known here, the workers check ids alone.
  virtual int32_t vocabulary() const = 0;
  // Prompt and output of one sequence have no more tokens than this; a worker may hold fewer.
  virtual int32_t max_context() const = 0;
  virtual const GenerationConfig& defaults() const = 0;
  virtual bool has_text() const = 0;  // a tokenizer
  virtual bool has_chat() const = 0;  // and a chat template

  // Valid UTF-8 to ids. With `special` the beginning and end tokens that the tokenizer's settings
  // add to plain text. Needs has_text.
  // Errors  INVALID_ARGUMENT.
  virtual absl::StatusOr<std::vector<int32_t>> Tokenize(absl::string_view text,
                                                        bool special) const = 0;
  // What the chat template makes of a conversation; it has its special tokens itself. Needs
  // has_chat.
  // Errors  INVALID_ARGUMENT: what the template objects to.
  virtual absl::StatusOr<std::string> RenderChat(const ChatPrompt& chat) const = 0;
  // What a token adds to a text; nothing for a special one unless those are shown, and nothing
  // where there is no tokenizer.
  virtual absl::string_view BytesOf(int32_t id, bool special_tokens) const = 0;
};

// The text of ids, where bytes that are no character stand as U+FFFD.
std::string TextOf(const TextModel& model, const std::vector<int32_t>& ids, bool special_tokens);

// OK, or FAILED_PRECONDITION: `what` cannot be had without a tokenizer.
absl::Status NeedText(const TextModel& model, absl::string_view what);

inline constexpr int32_t kMostContext = 1 << 20;  // where nothing is known

// A front door without the checkpoint at hand: it takes token ids, and gives token ids.
std::shared_ptr<const TextModel> TokensOnly(std::string name);

}  // namespace expertmesh
