#include "common/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "common/options.h"

namespace expertmesh {
namespace {

using ::testing::HasSubstr;

struct Flags {
  std::string name = "n";
  std::string required;
  int threads = 2;
  bool insecure = false;
  Duration lease = std::chrono::seconds(2);
};

// One program's run: its exit code if it ended, what it printed, what its flags are.
struct Ended {
  std::optional<int> exit;
  std::string out, err;
  Flags flags;
};

int Times(const std::string& text, const std::string& part) {
  int times = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
  return times;
}

class ConfigFileTest : public testing::Test {
 protected:
  std::string Write(const std::string& text) {
    const std::string path = testing::TempDir() + "config_file_test.yaml";
    std::ofstream(path) << text;
    return path;
  }
  Ended Parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "program");
    Ended run;
    CLI::App app("A program.", "program");
    app.option_defaults()->always_capture_default();
    AddConfigFlags(app);
    app.add_option("--name", run.flags.name, "a name");
    app.add_option("--required", run.flags.required, "must be there")->required();
    AddNumber(app, "--threads", &run.flags.threads, 1, 64, "how many");
    app.add_flag("--insecure", run.flags.insecure, "dangerous");
    AddMilliseconds(app, "--lease-ms", &run.flags.lease, 1000, 600'000, "how long");
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    run.exit = ReadFlags(app, static_cast<int>(arguments.size()), arguments.data(),
                         [] { return absl::OkStatus(); });
    run.out = testing::internal::GetCapturedStdout();
    run.err = testing::internal::GetCapturedStderr();
    return run;
  }
  Ended ParseFile(const std::string& text) {
    const std::string path = Write(text);
    return Parse({"--config", path.c_str()});
  }
};

TEST_F(ConfigFileTest, SetsFlagsByTheirNames) {
  const Ended run =
      ParseFile("# of a fleet\nrequired: 'yes'\nthreads: 8\ninsecure: true\nlease-ms: 5000\n");
  EXPECT_FALSE(run.exit.has_value()) << run.err;
  EXPECT_EQ(run.flags.required, "yes");
  EXPECT_EQ(run.flags.threads, 8);
  EXPECT_TRUE(run.flags.insecure);
  EXPECT_EQ(run.flags.lease, std::chrono::seconds(5));
  EXPECT_EQ(run.flags.name, "n") << "what it does not say stays";
}

TEST_F(ConfigFileTest, TheCommandLineWins) {
  const std::string path = Write("required: file\nthreads: 8\n");
  const Ended run = Parse({"--threads=3", "--config", path.c_str(), "--required", "line"});
  EXPECT_FALSE(run.exit.has_value()) << run.err;
  EXPECT_EQ(run.flags.threads, 3);
  EXPECT_EQ(run.flags.required, "line");
}

TEST_F(ConfigFileTest, RefusesWithFileLineAndName) {
  const std::pair<const char*, const char*> kBad[] = {
      {"required: x\nthread: 8\n", "config_file_test.yaml:2: there is no setting \"thread\""},
      {"required: x\nthreads: 0\n", "config_file_test.yaml:2: --threads: "},
      {"required: x\nthreads: many\n", "config_file_test.yaml:2: "},
      {"threads: 3\nthreads: 3\n", "config_file_test.yaml:2: threads is set twice"},
      {"threads:\n", "config_file_test.yaml:1: threads has no value"},
      {"threads: [1, 2]\n", "config_file_test.yaml:1: threads has no value, or not a single one"},
      {"insecure: perhaps\n", "config_file_test.yaml:1: insecure is perhaps; it is true or false"},
      {"- threads\n", "expected a mapping"},
      {"config: other.yaml\n", "there is no setting \"config\""},
      {"help: true\n", "there is no setting \"help\""},
      {"threads: {\n", "config_file_test.yaml: "},
      {"[a]: 3\n", "expected the name of a flag"},
      {"threads: 3\n", "--required"},
  };
  for (const auto& [text, why] : kBad) {
    const Ended run = ParseFile(text);
    EXPECT_EQ(run.exit, kExitBadFlags) << text;
    EXPECT_THAT(run.err, HasSubstr(why)) << text;
    EXPECT_LE(Times(run.err, "config_file_test.yaml"), 1) << run.err;
  }
  EXPECT_EQ(Parse({"--config", "/nowhere.yaml", "--required=x"}).exit, kExitBadFlags);
}

TEST_F(ConfigFileTest, WhatIsPrintedIsReadBack) {
  const Ended printed =
      Parse({"--print-config", "--required", "a: b", "--insecure", "--threads=7"});
  EXPECT_EQ(printed.exit, 0) << printed.err;
  EXPECT_THAT(printed.out, HasSubstr("lease-ms: 2000\n"));
  const std::string path = Write(printed.out);
  EXPECT_EQ(Parse({"--print-config", "--config", path.c_str()}).out, printed.out);
  const Ended read = Parse({"--config", path.c_str()});
  EXPECT_EQ(read.flags.required, "a: b");
  EXPECT_TRUE(read.flags.insecure);
  EXPECT_EQ(read.flags.threads, 7);
}

}  // namespace
}  // namespace expertmesh
