// check.h: CHECK(condition) << nothing: our own bugs end the process with a sentence.
//
// Only for what we alone control. A peer's or a user's bytes get an absl::Status (style: errors).
#pragma once

#include "absl/base/optimization.h"
#include "absl/strings/string_view.h"

namespace expertmesh {

// Prints file, line, condition and sentence to stderr, then aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              absl::string_view sentence);

}  // namespace expertmesh

// CHECK(x != nullptr, "the pool outlives its blocks");
#define CHECK(condition, sentence)                                         \
  do {                                                                     \
    if (ABSL_PREDICT_FALSE(!(condition)))                                  \
      ::expertmesh::CheckFailed(__FILE__, __LINE__, #condition, sentence); \
  } while (false)

// As CHECK, in debug and sanitizer builds only: for what the hot path cannot afford.
#ifdef EXPERTMESH_DCHECKS
#define DCHECK(condition, sentence) CHECK(condition, sentence)
#else
#define DCHECK(condition, sentence) \
  do {                              \
  } while (false)
#endif
