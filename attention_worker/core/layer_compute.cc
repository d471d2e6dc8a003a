#include "attention_worker/core/layer_compute.h"

namespace expertmesh {

void StepPlan::Clear() {
  tokens.clear();
  positions.clear();
  slots.clear();
  blocks.clear();
  outputs.clear();
  copies.clear();
  blocks_stride = 0;
}

}  // namespace expertmesh
