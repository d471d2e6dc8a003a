#include "cli/text/numbers.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace expertmesh {
namespace {

// 1234567 in units of 1000: "1.23 M".
std::string Scaled(double number, const std::array<absl::string_view, 6>& units) {
  size_t unit = 0;
  while (number >= 999.5 && unit + 1 < units.size()) {
    number /= 1000;
    ++unit;
  }
  const int decimals = unit == 0 ? 0 : number < 99.95 ? 2 : 1;
  std::string text = absl::StrFormat("%.*f %s", decimals, number, units[unit]);
  if (text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace

std::string Grouped(int64_t number) {
  const std::string digits = absl::StrCat(number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string InBytes(uint64_t bytes) {
  return Scaled(static_cast<double>(bytes), {"B", "kB", "MB", "GB", "TB", "PB"});
}

std::string InBillions(int64_t parameters) {
  return Scaled(static_cast<double>(parameters), {"", "k", "M", "B", "T", "P"});
}

}  // namespace expertmesh
