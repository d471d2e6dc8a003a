// mutant.h: bugs that are planted on purpose, to see that the tests find them.
//
// Where a mutant is built (tests/simulation compiles the protocol's sources a second time, with
// EXPERTMESH_MUTANTS), the environment says which bug it has: EXPERTMESH_MUTANT=name. Everywhere
// else Mutant is the constant false, and nothing is left of the bug. simulation/README.md lists
// them.
#pragma once

#ifdef EXPERTMESH_MUTANTS
#include <cstdlib>
#endif

#include "absl/strings/string_view.h"

namespace expertmesh {

#ifdef EXPERTMESH_MUTANTS
inline namespace mutants {  // another function than the one below, should both be linked
inline bool Mutant(absl::string_view name) {
  static const char* const chosen = std::getenv("EXPERTMESH_MUTANT");
  return chosen != nullptr && name == chosen;
}
}  // namespace mutants
#else
constexpr bool Mutant(absl::string_view) { return false; }
#endif

}  // namespace expertmesh
