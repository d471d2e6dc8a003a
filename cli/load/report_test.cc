#include "cli/load/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/load/report_json.h"
#include "cli/load/report_table.h"

namespace expertmesh {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Time At(int64_t ms) { return Time{} + Milliseconds(ms); }

RequestRecord Ok(int64_t scheduled_ms, int64_t sent_ms, const std::vector<int64_t>& tokens_ms) {
  RequestRecord record;
  record.scheduled = At(scheduled_ms);
  record.sent = At(sent_ms);
  for (const int64_t ms : tokens_ms) record.tokens.push_back(At(ms));
  record.ended = record.tokens.back();
  record.prompt_tokens = 10;
  record.cached_tokens = 4;
  return record;
}

RequestRecord Failed(const absl::Status& status) {
  RequestRecord record;
  record.status = status;
  return record;
}

// Two that went well, one of them sent 30 ms late, three that did not, and one that was not sent.
RunResult SomeRun() {
  RunResult run;
  run.level = {false, 8};
  run.records = {Ok(0, 0, {20, 30, 50}), Ok(100, 130, {180, 190}),
                 Failed(absl::UnavailableError("the first reason")),
                 Failed(absl::UnavailableError("another")),
                 Failed(absl::DeadlineExceededError("late"))};
  run.not_sent = 1;
  run.duration = std::chrono::seconds(2);
  return run;
}

TEST(LoadReport, CountsEachLatencyFromWhenTheRequestWasToBegin) {
  const LoadReport report = MakeReport(SomeRun(), {});
  EXPECT_DOUBLE_EQ(report.ttft_ms.mean, (20 + 80) / 2.0);  // from 100, not from 130
  EXPECT_DOUBLE_EQ(report.ttft_ms.max, 80);
  EXPECT_DOUBLE_EQ(report.e2e_ms.max, 90);
  EXPECT_DOUBLE_EQ(report.e2e_ms.mean, (50 + 90) / 2.0);
  EXPECT_DOUBLE_EQ(report.send_delay_ms.max, 30);
}

TEST(LoadReport, HasEachGapOfEachStream) {
  const LoadReport report = MakeReport(SomeRun(), {});
  EXPECT_EQ(report.itl_ms.count, 3);
  EXPECT_DOUBLE_EQ(report.itl_ms.mean, (10 + 20 + 10) / 3.0);
  EXPECT_DOUBLE_EQ(report.itl_ms.max, 20);
}

TEST(LoadReport, CountsFailuresByCodeAndWorkByWhatEndedWell) {
  const LoadReport report = MakeReport(SomeRun(), {});
  EXPECT_EQ(report.ok, 2);
  EXPECT_EQ(report.failed, 3);
  EXPECT_EQ(report.not_sent, 1);
  EXPECT_EQ(report.failures.at("UNAVAILABLE").count, 2);
  EXPECT_EQ(report.failures.at("UNAVAILABLE").example, "the first reason");
  EXPECT_EQ(report.failures.at("DEADLINE_EXCEEDED").count, 1);
  EXPECT_EQ(report.input_tokens, 20);
  EXPECT_EQ(report.cached_tokens, 8);
  EXPECT_EQ(report.output_tokens, 5);
  EXPECT_DOUBLE_EQ(report.PerSecond(report.output_tokens), 2.5);
}

TEST(LoadReport, GoodMeetsBothBoundsAndAnswersForAllRequests) {
  const auto good = [](std::optional<double> ttft, std::optional<double> itl) {
    return MakeReport(SomeRun(), {ttft, itl}).good;
  };
  EXPECT_EQ(good(80, {}), 2);
  EXPECT_EQ(good(79, {}), 1);
  EXPECT_EQ(good({}, 15), 2);
  EXPECT_EQ(good({}, 14), 1);
  EXPECT_EQ(good(79, 14), 0) << "one meets the first, the other the second";
  const auto json = ToJson(MakeReport(SomeRun(), {79, {}}));
  EXPECT_DOUBLE_EQ(json["goodput"]["share"].get<double>(), 1 / 6.0);
  EXPECT_DOUBLE_EQ(json["goodput"]["requests_per_s"].get<double>(), 0.5);
}

TEST(LoadReport, AnEndWithoutATokenIsAFailure) {
  RunResult run;
  run.records = {RequestRecord{}};
  const LoadReport report = MakeReport(run, {});
  EXPECT_EQ(report.ok, 0);
  EXPECT_EQ(report.failures.at("INTERNAL").count, 1);
}

TEST(LoadReport, IsTheSameInJson) {
  const auto json = ToJson(MakeReport(SomeRun(), {}));
  EXPECT_EQ(json["concurrency"].dump(), "8");
  EXPECT_EQ(json["requests"]["ok"], 2);
  EXPECT_EQ(json["requests"]["failed"], 3);
  EXPECT_EQ(json["requests"]["not_sent"], 1);
  EXPECT_EQ(json["requests"]["failed_by_code"]["UNAVAILABLE"]["count"], 2);
  EXPECT_DOUBLE_EQ(json["cached_share"].get<double>(), 0.4);
  EXPECT_DOUBLE_EQ(json["ttft_ms"]["p50"].get<double>(), 50);
  EXPECT_EQ(json["itl_ms"]["count"], 3);
  EXPECT_TRUE(json["goodput"].is_null());
  const auto records = RecordsToJson(SomeRun());
  ASSERT_EQ(records.size(), 5u);
  EXPECT_EQ(records[1]["ttft_ms"], 80.0);
  EXPECT_EQ(records[1]["mean_itl_ms"], 10.0);
  EXPECT_EQ(records[2]["code"], "UNAVAILABLE");
  EXPECT_TRUE(records[2]["ttft_ms"].is_null());
}

TEST(LoadReport, NothingMeasuredIsNotZero) {
  const LoadReport report = MakeReport(RunResult{{true, 2.5}, {}, 3, {}, true}, {});
  const auto json = ToJson(report);
  EXPECT_TRUE(json["ttft_ms"].is_null());
  EXPECT_EQ(json["rate_per_s"], 2.5);
  EXPECT_EQ(json["requests_per_s"], 0);
  EXPECT_EQ(json["interrupted"], true);
  EXPECT_THAT(ReportTable(report), HasSubstr("TTFT"));
  EXPECT_THAT(ReportTable(report), HasSubstr("3 not sent"));
}

TEST(LoadReport, IsTheSameInTables) {
  const LoadReport report = MakeReport(SomeRun(), {79, {}});
  const std::string table = ReportTable(report);
  EXPECT_THAT(table, HasSubstr("8 at once"));
  EXPECT_THAT(table, HasSubstr("2 failed with UNAVAILABLE, the first: the first reason"));
  EXPECT_THAT(table, HasSubstr("40.0%"));
  EXPECT_THAT(table, HasSubstr("0.50/s, 16.7% of all"));
  EXPECT_THAT(table, HasSubstr("80.00"));
  const std::string sweep = SweepTable({report, report});
  EXPECT_THAT(sweep, HasSubstr("good/s"));
  EXPECT_THAT(SweepTable({MakeReport(SomeRun(), {})}), Not(HasSubstr("good/s")));
}

}  // namespace
}  // namespace expertmesh
