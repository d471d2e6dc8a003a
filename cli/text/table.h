// table.h: rows of text in columns, for a terminal.
#pragma once

#include <string>
#include <vector>

namespace expertmesh {

using TableRow = std::vector<std::string>;

struct TableStyle {
  int gap = 2;         // blanks between columns
  bool right = false;  // all columns but the first are set to the right
};

// A line for each row. Columns are as wide as their widest cell, in bytes; a row may have fewer
// cells than the others. No line ends with blanks.
std::string Table(const std::vector<TableRow>& rows, TableStyle style = {});

}  // namespace expertmesh
