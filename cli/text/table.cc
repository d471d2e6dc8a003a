#include "cli/text/table.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace expertmesh {

std::string Table(const std::vector<TableRow>& rows, TableStyle style) {
  std::vector<size_t> width;
  for (const TableRow& row : rows) {
    width.resize(std::max(width.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  const std::string gap(style.gap, ' ');
  std::string text;
  for (const TableRow& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string fill(width[i] - row[i].size(), ' ');
      if (i > 0) line += gap;
      line += style.right && i > 0 ? fill + row[i] : row[i] + fill;
    }
    absl::StrAppend(&text, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return text;
}

}  // namespace expertmesh
