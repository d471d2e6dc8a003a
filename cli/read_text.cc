#include "cli/read_text.h"

#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace expertmesh {

absl::StatusOr<std::string> ReadText(const std::string& flag, const std::string& file) {
  std::ifstream stream(file == "-" ? "/dev/stdin" : file, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (!stream) return absl::NotFoundError(absl::StrCat(flag, ": cannot read ", file));
  return text;
}

}  // namespace expertmesh
