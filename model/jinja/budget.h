// budget.h: what one rendering may cost. A template and a conversation come from strangers:
// whatever they ask for, a rendering ends, with bounded memory.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace expertmesh::jinja {

struct Limits {
  int64_t steps_max = 2'000'000;       // nodes evaluated, elements visited
  int64_t bytes_max = 64 << 20;        // of all strings and lists ever made, compared or searched
  int64_t output_bytes_max = 8 << 20;  // of the text
};

// Levels of lists and dicts within each other, in what is given and in what a template makes.
inline constexpr int kValueDepthMax = 64;
// Elements of one list, as the sandbox of jinja2 bounds range().
inline constexpr int64_t kListMax = 100'000;

// Errors  RESOURCE_EXHAUSTED: the limit, by name.
class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits) {}

  absl::Status Steps(int64_t steps) {
    steps_ += steps;
    return steps_ <= limits_.steps_max ? absl::OkStatus() : Exhausted("steps", limits_.steps_max);
  }
  absl::Status Bytes(int64_t bytes) {
    bytes_ += bytes;
    return bytes_ <= limits_.bytes_max ? absl::OkStatus()
                                       : Exhausted("bytes of work", limits_.bytes_max);
  }
  absl::Status Output(int64_t bytes) {
    return bytes <= limits_.output_bytes_max
               ? absl::OkStatus()
               : Exhausted("bytes of output", limits_.output_bytes_max);
  }

 private:
  static absl::Status Exhausted(absl::string_view what, int64_t limit) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the template needs more than ", limit, " ", what));
  }

  const Limits limits_;
  int64_t steps_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace expertmesh::jinja
