#include "cli/text/table.h"

#include <gtest/gtest.h>

#include "cli/text/numbers.h"

namespace expertmesh {
namespace {

TEST(Table, AlignsColumnsToTheLeftOrToTheRight) {
  const std::vector<TableRow> rows = {{"NAME", "N", "TEXT"}, {"a", "100", "x"}, {"", "7"}};
  EXPECT_EQ(Table(rows), "NAME  N    TEXT\na     100  x\n      7\n");
  EXPECT_EQ(Table(rows, {.gap = 3, .right = true}),
            "NAME     N   TEXT\na      100      x\n         7\n");
  EXPECT_EQ(Table({}), "");
}

TEST(Numbers, ArePrintedForPeople) {
  EXPECT_EQ(Grouped(1234567), "1,234,567");
  EXPECT_EQ(InBytes(999), "999 B");
  EXPECT_EQ(InBytes(31410000000), "31.41 GB");
}

}  // namespace
}  // namespace expertmesh
