#include "cli/load/record.h"

namespace expertmesh {

double RequestRecord::TtftMs() const { return ToMs(tokens.front() - scheduled); }

double RequestRecord::E2eMs() const { return ToMs(tokens.back() - scheduled); }

double RequestRecord::MeanItlMs() const {
  if (tokens.size() < 2) return 0;
  return ToMs(tokens.back() - tokens.front()) / static_cast<double>(tokens.size() - 1);
}

}  // namespace expertmesh
