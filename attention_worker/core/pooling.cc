#include "attention_worker/core/pooling.h"

#include <cmath>

namespace expertmesh {
namespace {

void Normalise(absl::Span<float> values) {
  double squares = 0;
  for (float value : values) squares += static_cast<double>(value) * value;
  if (squares == 0) return;
  const double length = std::sqrt(squares);
  for (float& value : values) value = static_cast<float>(value / length);
}

}  // namespace

size_t PooledPositions(const GenerateRequest& request, const RequestLimits& limits) {
  size_t positions = request.prompt.size();
  if (request.pooling != Pooling::kClasses || !limits.pad_token_id.has_value()) return positions;
  while (positions > 0 && request.prompt[positions - 1] == *limits.pad_token_id) --positions;
  return positions == 0 ? 1 : positions;
}

StepPlan::Output::Wanted WantedOf(const GenerateRequest& request) {
  using Wanted = StepPlan::Output::Wanted;
  if (request.pooling == Pooling::kNone) return Wanted::kToken;
  return request.pooling == Pooling::kClasses ? Wanted::kClasses : Wanted::kHidden;
}

void AddPooled(const GenerateRequest& request, absl::Span<const float> values, int32_t positions,
               std::vector<double>& sums, std::vector<float>& told) {
  const size_t begin = told.size();
  if (request.pooling == Pooling::kMean) {
    sums.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) sums[i] += values[i];
    if (positions == 0) return;
    for (double sum : sums) told.push_back(static_cast<float>(sum / positions));
  } else {
    told.insert(told.end(), values.begin(), values.end());
  }
  if (request.normalise && request.pooling != Pooling::kClasses) {
    Normalise(absl::MakeSpan(told).subspan(begin));
  }
}

}  // namespace expertmesh
