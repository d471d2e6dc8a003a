// version.h: which version of the product this is.
#pragma once

namespace expertmesh {

// As in CHANGELOG.md, e.g. "0.1.0".
const char* Version();

}  // namespace expertmesh
