#include "common/check.h"

#include <cstdio>
#include <cstdlib>

namespace expertmesh {

void CheckFailed(const char* file, int line, const char* condition, absl::string_view sentence) {
  std::fprintf(stderr, "%s:%d: check failed: %s: %.*s\n", file, line, condition,
               static_cast<int>(sentence.size()), sentence.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace expertmesh
