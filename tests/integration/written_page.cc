#include "tests/integration/written_page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace expertmesh {
namespace {

constexpr char kPage[] = EXPERTMESH_SOURCE_DIR "/docs/api.md";
constexpr char kHowToWrite[] =
    "EXPERTMESH_WRITE_DOCS=1 build/release/tests/integration_refusals_test writes it";

std::vector<std::string> ReadLines() {
  std::ifstream file(kPage);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

size_t Find(const std::vector<std::string>& lines, const std::string& beginning) {
  const auto found = std::find_if(lines.begin(), lines.end(), [&](const std::string& line) {
    return line.rfind(beginning, 0) == 0;
  });
  return static_cast<size_t>(found - lines.begin());
}

}  // namespace

void ExpectOnApiPage(const std::string& name, const std::vector<std::string>& lines) {
  const std::vector<std::string> page = ReadLines();
  const size_t begin = Find(page, "<!-- " + name + ":") + 1;
  const size_t end = Find(page, "<!-- end of " + name + " -->");
  ASSERT_LT(begin, page.size()) << "docs/api.md has no part " << name;
  ASSERT_LT(end, page.size()) << "docs/api.md has no end of part " << name;
  const char* write = std::getenv("EXPERTMESH_WRITE_DOCS");
  if (write != nullptr && std::string(write) == "1") {
    std::ofstream file(kPage);
    for (size_t i = 0; i < begin; ++i) file << page[i] << "\n";
    for (const std::string& line : lines) file << line << "\n";
    for (size_t i = end; i < page.size(); ++i) file << page[i] << "\n";
    EXPECT_TRUE(file.good());
    return;
  }
  const size_t written = end - begin;
  for (size_t i = 0; i < std::max(lines.size(), written); ++i) {
    EXPECT_EQ(i < written ? page[begin + i] : "(nothing)",
              i < lines.size() ? lines[i] : "(nothing)")
        << "docs/api.md:" << begin + i + 1 << " against what the server says. " << kHowToWrite;
  }
}

}  // namespace expertmesh
