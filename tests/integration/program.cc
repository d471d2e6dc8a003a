#include "tests/integration/program.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "tests/integration/process.h"

namespace expertmesh {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);

}  // namespace

std::string WriteTempFile(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

// Names are of this process alone, since other test programs may run at the same time.
Outcome RunProgram(const std::vector<std::string>& arguments, const std::string& program,
                   const std::string& input) {
  Outcome outcome;
  const std::string own = absl::StrCat(
      testing::UnitTest::GetInstance()->current_test_suite()->name(), ".", ::getpid());
  const std::string log = testing::TempDir() + "/" + own + ".err";
  std::remove(log.c_str());
  const std::string input_path = WriteTempFile(own + ".in", input);
  auto process = Process::Start(program, arguments, log, input_path);
  outcome.out = process->ReadAll(kPatience);
  outcome.code = process->Wait(kPatience).value_or(-1);
  std::ifstream err(log);
  outcome.err = std::string(std::istreambuf_iterator<char>(err), {});
  std::remove(log.c_str());
  std::remove(input_path.c_str());
  return outcome;
}

}  // namespace expertmesh
