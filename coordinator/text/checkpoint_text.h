// checkpoint_text.h: the text half of a published checkpoint: no weights are read.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/text/text_model.h"

namespace expertmesh {

// Reads config.json and, where they are there, tokenizer.json, tokenizer_config.json, the chat
// template and generation_config.json of `folder`. `name` is the model's for users; empty: that of
// the folder. Without tokenizer.json the model has no text, without a template no chat.
// Errors  NOT_FOUND, INVALID_ARGUMENT: file, field, found, expected.
absl::StatusOr<std::shared_ptr<const TextModel>> OpenTextModel(const std::string& folder,
                                                               const std::string& name);

}  // namespace expertmesh
