// rope.h: the angles of rotary position embedding, YaRN's included.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace expertmesh {

// inv_freq[i], i in [0, qk_rope_dim / 2): theta^(-2i/dim); divided by a factor under linear
// scaling, under YaRN blended with that / factor by the ramp between the corrections of beta_fast
// and beta_slow. (YaRN paper, section 3.2.)
std::vector<float> RopeFrequencies(const ModelConfig& config);

// [positions, qk_rope_dim]: (cos, sin) of f32(position) * inv_freq, interleaved per pair, times
// YaRN's cos/sin factor. The same bits on every machine (common/math.h).
std::vector<float> RopeTable(const ModelConfig& config, int64_t positions);

}  // namespace expertmesh
