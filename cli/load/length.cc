#include "cli/load/length.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace expertmesh {
namespace {

constexpr char kLognormal[] = "lognormal:";
constexpr double kMaxSigma = 4;

absl::StatusOr<int32_t> ParseLength(absl::string_view text) {
  int32_t length = 0;
  if (!absl::SimpleAtoi(text, &length)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text, "\" is no length; one is like 128, 64..256 or lognormal:MEAN:SIGMA:MAX"));
  }
  if (length < 1 || length > kMaxLoadTokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("a length is ", length, "; it goes from 1 to ", kMaxLoadTokens));
  }
  return length;
}

}  // namespace

absl::StatusOr<LengthDistribution> LengthDistribution::Parse(const std::string& text) {
  if (text.rfind(kLognormal, 0) == 0) return ParseLognormal(text);
  const std::vector<std::string> ends = absl::StrSplit(text, absl::MaxSplits("..", 1));
  LengthDistribution length;
  ASSIGN_OR_RETURN(length.low_, ParseLength(ends.front()));
  ASSIGN_OR_RETURN(length.high_, ParseLength(ends.back()));
  if (length.low_ > length.high_) {
    return absl::InvalidArgumentError(
        absl::StrCat("the range ", text, " is empty; the lower end comes first"));
  }
  return length;
}

absl::StatusOr<LengthDistribution> LengthDistribution::ParseLognormal(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  LengthDistribution length;
  length.lognormal_ = true;
  if (parts.size() != 4 || !absl::SimpleAtod(parts[1], &length.mean_) ||
      !absl::SimpleAtod(parts[2], &length.sigma_)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not like lognormal:MEAN:SIGMA:MAX"));
  }
  ASSIGN_OR_RETURN(length.high_, ParseLength(parts[3]));
  if (!(length.mean_ >= 1 && length.mean_ <= length.high_)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the mean of ", text, " goes from 1 to MAX, ", length.high_));
  }
  if (!(length.sigma_ >= 0 && length.sigma_ <= kMaxSigma)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the sigma of ", text, " goes from 0 to ", kMaxSigma));
  }
  return length;
}

int32_t LengthDistribution::Draw(Draws& draws) const {
  if (!lognormal_) return draws.Between(low_, high_);
  const double mu = std::log(mean_) - sigma_ * sigma_ / 2;
  const double drawn = std::exp(mu + sigma_ * draws.Normal());
  return static_cast<int32_t>(std::clamp(std::round(drawn), 1.0, static_cast<double>(high_)));
}

}  // namespace expertmesh
