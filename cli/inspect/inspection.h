// inspection.h: what a checkpoint is: its model, its size, and what workers would hold of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/inspect/holdings.h"
#include "model/census.h"
#include "model/checkpoint/checkpoint.h"
#include "model/config.h"

namespace expertmesh {

struct Inspection {
  std::string folder;
  ModelConfig config;
  Census census;
  bool has_weights = false;             // no: the folder has a config.json and no safetensors
  Holdings holdings;                    // assumed where there are no weights
  std::vector<Checkpoint::File> files;  // of the weights
  bool has_tokenizer = false;
  bool has_chat_template = false;

  bool is_v3() const { return config.gate_method == GateMethod::kNoAux; }

  // Of the class cpu-f32: an attention worker holds all weights but the routed experts', and the
  // cache of the tokens that it works on.
  uint64_t attention_weight_bytes() const;
  uint64_t cache_bytes_per_token() const;
};

// One of `workers` expert workers that hold all routed experts together, evenly: the most that one
// of them has.
struct ExpertShare {
  int64_t workers = 0;
  int64_t experts = 0;
  uint64_t bytes = 0;
};

// For 1, 2, 4, 8 ... workers, as long as each has an expert, and at most 256.
std::vector<ExpertShare> ExpertShares(const Inspection& inspection);

// Opens whatever there is (weights, tokenizer, chat template, generation_config.json) as the
// workers and the front door do, and reads no more of the weights than their headers.
// Errors  those of Checkpoint::Open and OpenTextModel.
absl::StatusOr<Inspection> Inspect(const std::string& folder);

}  // namespace expertmesh
