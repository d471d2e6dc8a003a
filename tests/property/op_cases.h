// op_cases.h: every op of kernels/ops.h behind one face, so that one property can be asked of all.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "kernels/ops.h"

namespace expertmesh {

// One op with fixed weights, and kRows fixed rows of input to choose from.
class OpCase {
 public:
  static constexpr int kRows = 257;

  virtual ~OpCase() = default;

  // The op's name, shapes and weight dtype, for messages.
  virtual std::string Name() const = 0;

  // One call of the op on the input rows of these numbers (all different): the bits of its output
  // rows, side by side in the order asked for.
  virtual std::vector<uint32_t> Run(const Kernels& kernels, Stream& stream,
                                    absl::Span<const int> rows) = 0;
};

// Every op, those with weights in bf16 and in f32; shapes and values come from the seed.
std::vector<std::unique_ptr<OpCase>> AllOpCases(uint64_t seed);

}  // namespace expertmesh
