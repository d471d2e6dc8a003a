// finite.h: whether rows that came back are numbers.
#pragma once

#include <cstddef>

#include "common/dtype.h"

namespace expertmesh {

// Of `count` elements at `row`, at no particular alignment: none is infinite or NaN.
bool AllFinite(const std::byte* row, size_t count, DType dtype);

}  // namespace expertmesh
