#include "common/version.h"

namespace expertmesh {

const char* Version() { return EXPERTMESH_VERSION; }

}  // namespace expertmesh
