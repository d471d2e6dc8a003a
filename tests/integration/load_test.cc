// `expertmesh load`, the real program, against a fleet of real programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <thread>

#include "tests/integration/process_cluster.h"

namespace expertmesh {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr char kModel[] = EXPERTMESH_SOURCE_DIR "/models/tiny";
constexpr Duration kPatience = std::chrono::seconds(60);

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

struct Outcome {
  int code = -1;
  std::string out, err;
};

class LoadTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = new ProcessCluster({.model = kModel, .attention_flags = {"--max-context", "700"}});
    server_ = cluster_->address();
  }
  static void TearDownTestSuite() { delete cluster_; }

  static Outcome Load(std::vector<std::string> more, const std::string& server = server_) {
    std::vector<std::string> words = {"load", "--server", server};
    words.insert(words.end(), more.begin(), more.end());
    const std::string log = testing::TempDir() + "/load.err";
    std::remove(log.c_str());
    auto process = Process::Start("expertmesh", words, log);
    Outcome outcome;
    outcome.out = process->ReadAll(kPatience);
    outcome.code = process->Wait(kPatience).value_or(-1);
    outcome.err = ReadFile(log);
    return outcome;
  }
  // With short work, and --json; expects that it goes well.
  static json Report(std::vector<std::string> more) {
    more.insert(more.end(), {"--json", "--output-tokens", "4"});
    const Outcome outcome = Load(std::move(more));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    json report = json::parse(outcome.out, nullptr, false);
    EXPECT_FALSE(report.is_discarded()) << outcome.out;
    return report;
  }

  static ProcessCluster* cluster_;
  static std::string server_;
};
ProcessCluster* LoadTest::cluster_ = nullptr;
std::string LoadTest::server_;

TEST_F(LoadTest, AClosedLoopReportsWhatItAskedFor) {
  json report = Report({"--concurrency", "4", "--requests", "12", "--prompt-tokens", "20",
                        "--warmup", "3", "--slo-ttft-ms", "1e9"});
  EXPECT_EQ(report["concurrency"], 4);
  EXPECT_EQ(report["requests"]["ok"], 12) << "the warm-up is not counted";
  EXPECT_EQ(report["requests"]["failed"], 0);
  EXPECT_EQ(report["input_tokens"], 12 * 20);
  EXPECT_EQ(report["output_tokens"], 12 * 4);
  EXPECT_EQ(report["cached_tokens"], 0);
  EXPECT_EQ(report["ttft_ms"]["count"], 12);
  EXPECT_EQ(report["e2e_ms"]["count"], 12);
  EXPECT_EQ(report["itl_ms"]["count"], 12 * 3);
  EXPECT_EQ(report["goodput"]["share"], 1);
  for (const char* key : {"settings", "percentile_method", "duration_s", "requests_per_s",
                          "input_tokens_per_s", "output_tokens_per_s", "send_delay_ms"}) {
    EXPECT_TRUE(report.contains(key)) << key;
  }
  for (const char* key : {"mean", "p50", "p90", "p95", "p99", "max"}) {
    EXPECT_GT(report["ttft_ms"][key], 0) << key;
  }
  EXPECT_EQ(report["settings"]["prompt_tokens"], "20");
  EXPECT_EQ(report["settings"]["vocabulary"], 2048) << "of ListModels";
}

TEST_F(LoadTest, AnOpenLoopReportsEachArrival) {
  json report =
      Report({"--rate", "100", "--requests", "15", "--prompt-tokens", "5..30", "--records"});
  EXPECT_EQ(report["rate_per_s"], 100);
  EXPECT_EQ(report["requests"]["ok"], 15);
  ASSERT_EQ(report["records"].size(), 15u);
  for (json record : report["records"]) {
    EXPECT_GE(record["prompt_tokens"], 5);
    EXPECT_LE(record["prompt_tokens"], 30);
    EXPECT_EQ(record["output_tokens"], 4);
    EXPECT_GT(record["ttft_ms"], 0);
  }
}

TEST_F(LoadTest, ASharedPrefixIsFoundCachedUnlessSaltsAreDistinct) {
  const std::vector<std::string> words = {"--concurrency",   "1", "--requests",      "6",
                                          "--prompt-tokens", "8", "--shared-prefix", "128"};
  json report = Report(words);
  EXPECT_EQ(report["input_tokens"], 6 * (128 + 8));
  EXPECT_GE(report["cached_tokens"], 5 * 128);
  EXPECT_GE(Report(words)["cached_tokens"], 5 * 128);
  EXPECT_LT(Report(words)["cached_tokens"], 6 * 128) << "another run has a salt of its own";
  std::vector<std::string> distinct = words;
  distinct.push_back("--distinct-salts");
  EXPECT_EQ(Report(distinct)["cached_tokens"], 0);
}

TEST_F(LoadTest, ASecondTurnBeginsWithTheFirstAndItsAnswer) {
  json report = Report({"--concurrency", "1", "--requests", "4", "--prompt-tokens", "70", "--turns",
                        "2", "--records"});
  ASSERT_EQ(report["records"].size(), 4u);
  EXPECT_EQ(report["records"][0]["prompt_tokens"], 70);
  EXPECT_EQ(report["records"][1]["prompt_tokens"], 70 + 4 + 70);
  EXPECT_GE(report["records"][1]["cached_tokens"], 64);
  EXPECT_EQ(report["records"][2]["cached_tokens"], 0);
}

TEST_F(LoadTest, ASweepHasAPointPerLoadAndAChart) {
  const std::string plot = testing::TempDir() + "/sweep.svg";
  json report =
      Report({"--sweep", "1,2,4", "--requests", "6", "--prompt-tokens", "6", "--plot", plot});
  ASSERT_EQ(report["points"].size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(report["points"][i]["concurrency"], 1 << i);
    EXPECT_EQ(report["points"][i]["requests"]["ok"], 6);
    EXPECT_EQ(report["points"][i]["cached_tokens"], 0) << "points ask for tokens of their own";
  }
  const std::string svg = ReadFile(plot);
  EXPECT_THAT(svg, HasSubstr("TTFT p99 at 4: "));
  EXPECT_THAT(svg, HasSubstr("output tokens/s at 1: "));
  EXPECT_THAT(svg, testing::EndsWith("</svg>\n"));
  json one = Report({"--rate", "1", "--sweep", "200", "--requests", "5", "--plot", plot});
  EXPECT_EQ(one["points"][0]["rate_per_s"], 200);
  EXPECT_THAT(ReadFile(plot), HasSubstr("Latency at 200 requests/s"));
}

TEST_F(LoadTest, PrintsTablesForPeople) {
  const Outcome one = Load({"--concurrency", "2", "--requests", "4", "--output-tokens", "2"});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(one.err, "") << "no progress where there is no terminal";
  for (const char* text : {"requests ok", "TTFT", "ITL", "E2E", "p99"}) {
    EXPECT_THAT(one.out, HasSubstr(text));
  }
  const Outcome sweep = Load({"--sweep", "1,2", "--requests", "4", "--output-tokens", "2"});
  EXPECT_THAT(sweep.out, HasSubstr("1 at once"));
  EXPECT_THAT(sweep.out, HasSubstr("2 at once"));
}

TEST_F(LoadTest, CountsFailuresByCodeAndGoesOn) {
  // The context holds 700.
  json report = Report(
      {"--concurrency", "2", "--requests", "8", "--prompt-tokens", "500..900", "--seed", "1"});
  json requests = report["requests"];
  EXPECT_GT(requests["ok"], 0);
  EXPECT_EQ(requests["failed_by_code"]["INVALID_ARGUMENT"]["count"], requests["failed"]);
  EXPECT_EQ(requests["ok"].get<int>() + requests["failed"].get<int>(), 8);
  EXPECT_THAT(requests["failed_by_code"]["INVALID_ARGUMENT"]["example"].get<std::string>(),
              HasSubstr("the context holds 700"));
}

TEST_F(LoadTest, RefusesFlagsThatMakeNoSense) {
  const std::vector<std::vector<std::string>> kBad = {
      {"--requests", "1"},
      {"--concurrency", "1"},
      {"--concurrency", "1", "--rate", "1", "--requests", "1"},
      {"--concurrency", "0", "--requests", "1"},
      {"--rate", "-1", "--requests", "1"},
      {"--concurrency", "1", "--requests", "1", "--prompt-tokens", "many"},
      {"--concurrency", "1", "--requests", "1", "--output-tokens", "lognormal:9:9:9"},
      {"--sweep", "1,x", "--requests", "1"},
      {"--sweep", "1,2.5", "--requests", "1"},
      {"--concurrency", "1", "--requests", "1", "--records"},
      {"--concurrency", "1", "--requests", "1", "--no-such-flag"},
  };
  for (const auto& words : kBad) {
    const Outcome outcome = Load(words);
    EXPECT_EQ(outcome.code, 2) << testing::PrintToString(words) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err, "");
  }
}

TEST_F(LoadTest, RefusesAChartThatCannotBeWrittenBeforeItBegins) {
  const std::string path = testing::TempDir() + "/no-such-folder/x.svg";
  const Outcome outcome = Load({"--concurrency", "1", "--requests", "1", "--plot", path, "--json"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "") << "nothing was run";
  EXPECT_THAT(outcome.err, HasSubstr("--plot: " + path));
}

TEST_F(LoadTest, AnInterruptionReportsWhatThereIs) {
  const std::string log = testing::TempDir() + "/interrupted.err";
  std::remove(log.c_str());
  auto process = Process::Start("expertmesh",
                                {"load", "--server", server_, "--concurrency", "2", "--seconds",
                                 "3600", "--output-tokens", "2", "--json", "--progress"},
                                log);
  const std::regex some_ended(": [1-9][0-9]* ended");
  const Time deadline = Now() + kPatience;
  while (Now() < deadline && !std::regex_search(ReadFile(log), some_ended)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  process->Signal(SIGINT);
  json report = json::parse(process->ReadAll(kPatience), nullptr, false);
  EXPECT_EQ(process->Wait(kPatience), 0);
  ASSERT_FALSE(report.is_discarded());
  EXPECT_EQ(report["interrupted"], true);
  EXPECT_GT(report["requests"]["ok"], 0);
}

// The last one: it ends the fleet.
TEST_F(LoadTest, ALostServerIsCountedAndNothingSucceeds) {
  const std::vector<std::string> words = {"--concurrency", "2", "--requests", "6", "--json"};
  const auto expect_unavailable = [](const Outcome& outcome) {
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("UNAVAILABLE: no request succeeded"));
    json report = json::parse(outcome.out, nullptr, false);
    ASSERT_FALSE(report.is_discarded()) << outcome.out;
    EXPECT_EQ(report["requests"]["ok"], 0);
    EXPECT_EQ(report["requests"]["failed_by_code"]["UNAVAILABLE"]["count"], 6);
    EXPECT_TRUE(report["ttft_ms"].is_null());
  };
  std::vector<std::string> told = words;
  told.insert(told.end(), {"--vocabulary", "2048"});
  cluster_->Kill("a1");
  expect_unavailable(Load(told));
  cluster_->Kill("coordinator");
  expect_unavailable(Load(told));
  const Outcome asked = Load(words);
  EXPECT_EQ(asked.code, 1);
  EXPECT_THAT(asked.err, HasSubstr("UNAVAILABLE"));
}

}  // namespace
}  // namespace expertmesh
