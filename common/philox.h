// philox.h: random numbers that are a function of where they are used, not of what came before.
//
// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): a key and a
// counter in, 128 bits out. Whoever has the same key and counter gets the same bits: on any
// machine, in any order, with no state to carry along.
#pragma once

#include <array>
#include <cstdint>

namespace expertmesh {

using PhiloxKey = std::array<uint32_t, 2>;
using PhiloxBlock = std::array<uint32_t, 4>;

// Ten rounds, words in the order of the paper's reference code (Random123).
PhiloxBlock Philox4x32(PhiloxBlock counter, PhiloxKey key);

// Which random number of a generation: `draw` counts the numbers that one output position takes.
struct DrawPlace {
  uint32_t choice = 0;        // index of the choice among those of one request
  uint32_t output_index = 0;  // of the output token, from 0
  uint32_t draw = 0;
};

// A number in [0, 1), a multiple of 2^-53. Key: {low, high 32 bits of the seed}. Counter: {draw,
// output_index, choice, 0}. Of the block b that comes out, the number is floor((b[1] * 2^32 + b[0])
// / 2^11) * 2^-53.
double UniformDraw(uint64_t seed, DrawPlace place);

}  // namespace expertmesh
