// workload.h: what is asked: prompts of token ids, in conversations of one turn or more.
#pragma once

#include <cstdint>
#include <vector>

#include "cli/load/draws.h"
#include "cli/load/length.h"

namespace expertmesh {

struct WorkloadOptions {
  LengthDistribution prompt_tokens;  // of the fresh part of each turn
  LengthDistribution output_tokens;  // of each turn
  int32_t shared_prefix = 0;         // tokens before the first turn's fresh part
  int32_t prefix_groups = 1;         // conversation i begins like all others of group i mod this
  int32_t turns = 1;                 // of a conversation
  int32_t vocabulary = 1;            // ids are below it
  uint64_t seed = 0;
  // Of a sweep: points ask for the same lengths in other tokens, so that none finds in the prefix
  // cache what one before it has left there.
  uint32_t point = 0;
};

struct Turn {
  std::vector<int32_t> prompt;
  int32_t output_tokens = 0;
};

// Threads  one.
class Conversation {
 public:
  Conversation(const WorkloadOptions& options, uint32_t index);

  // The next turn: the prompt before, `answer` (what came of it; empty at first), and a fresh part.
  Turn Next(const std::vector<int32_t>& answer);

 private:
  const WorkloadOptions& options_;
  Draws lengths_, fresh_;
  std::vector<int32_t> prompt_;
};

}  // namespace expertmesh
