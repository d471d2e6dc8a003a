#include "cli/load/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>

#include "absl/strings/str_cat.h"
#include "cli/load/plot.h"

namespace expertmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The length of the tag's inside at `text`, if it is a name, then attributes in double quotes.
bool IsTag(const std::string& inside) {
  size_t i = 0;
  while (i < inside.size() && (std::isalnum(inside[i]) != 0)) ++i;
  if (i == 0) return false;
  while (i < inside.size()) {
    const size_t equals = inside.find("=\"", i);
    if (inside.find_first_not_of(' ', i) == std::string::npos) return true;
    if (inside[i] != ' ' || equals == std::string::npos) return false;
    const size_t end = inside.find('"', equals + 2);
    if (end == std::string::npos) return false;
    if (inside.substr(equals + 2, end - equals - 2).find('<') != std::string::npos) return false;
    i = end + 1;
  }
  return true;
}

bool EntitiesAreKnown(const std::string& text) {
  for (size_t at = text.find('&'); at != std::string::npos; at = text.find('&', at + 1)) {
    const std::string entity = text.substr(at, text.find(';', at) - at + 1);
    if (entity != "&amp;" && entity != "&lt;" && entity != "&gt;" && entity != "&quot;") {
      return false;
    }
  }
  return true;
}

// Whether each tag is closed by its own, in one root; empty if so, else what is wrong.
std::string WhatIsNotWellFormed(const std::string& xml) {
  std::vector<std::string> open;
  int roots = 0;
  if (!EntitiesAreKnown(xml)) return "an entity";
  for (size_t at = xml.find('<'); at != std::string::npos; at = xml.find('<', at + 1)) {
    const size_t end = xml.find('>', at);
    if (end == std::string::npos) return "a tag without an end";
    std::string inside = xml.substr(at + 1, end - at - 1);
    if (inside.front() == '/') {
      if (open.empty() || open.back() != inside.substr(1)) return absl::StrCat("<", inside, ">");
      open.pop_back();
      continue;
    }
    const bool closed = inside.back() == '/';
    if (closed) inside.pop_back();
    if (!IsTag(inside)) return absl::StrCat("<", inside, ">");
    roots += open.empty() ? 1 : 0;
    if (!closed) open.push_back(inside.substr(0, inside.find(' ')));
  }
  if (!open.empty()) return absl::StrCat("<", open.back(), "> is not closed");
  return roots == 1 ? "" : "not one root";
}

int Count(const std::string& text, const std::string& what) {
  int count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

LoadReport ReportAt(double load, double ms) {
  LoadReport report;
  report.level = {false, load};
  report.ok = 1;
  report.duration_s = 1;
  report.output_tokens = static_cast<int64_t>(100 * load);
  report.ttft_ms = Summarize({ms, 2 * ms});
  report.itl_ms = Summarize({ms / 4});
  report.e2e_ms = Summarize({10 * ms});
  return report;
}

TEST(Chart, TheXmlCheckFindsWhatIsWrong) {
  EXPECT_EQ(WhatIsNotWellFormed("<a x=\"1\"><b/>t&amp;</a>\n"), "");
  for (const char* bad :
       {"<a>", "<a></b>", "<a x=1></a>", "<a/><b/>", "<a>&nbsp;</a>", "</a>", "<a x=\"<\"/>"}) {
    EXPECT_NE(WhatIsNotWellFormed(bad), "") << bad;
  }
}

TEST(Chart, IsWellFormedWhateverTheTextsHold) {
  Chart chart;
  chart.title = "a < b && \"c\" > d";
  chart.panels.push_back({"<title>", "&", "\"", AxisOver({1}), AxisOver({1})});
  chart.panels[0].series.push_back({"x<y", "\"&\"", true, true, {{0.5, 0.5}}});
  const std::string svg = ToSvg(chart);
  EXPECT_EQ(WhatIsNotWellFormed(svg), "") << svg;
  EXPECT_THAT(svg, HasSubstr("a &lt; b &amp;&amp; &quot;c&quot; &gt; d"));
}

TEST(SweepChart, HasEachPointOfEachCurve) {
  const std::string svg =
      ToSvg(SweepChart({ReportAt(1, 10), ReportAt(2, 12), ReportAt(16, 80)}, "some work"));
  EXPECT_EQ(WhatIsNotWellFormed(svg), "") << svg;
  EXPECT_EQ(Count(svg, "<polyline"), 7);
  EXPECT_EQ(Count(svg, "<circle"), 3 * 7);
  for (const char* point : {"TTFT p50 at 1: 15<", "TTFT p99 at 2: 23.88<", "ITL p50 at 16: 20<",
                            "E2E p99 at 16: 800<", "output tokens/s at 16: 1600<"}) {
    EXPECT_THAT(svg, HasSubstr(point));
  }
  for (const char* text : {"latency (ms)", "concurrency (requests)", "output tokens per second",
                           "some work", ">E2E p99</text>", "stroke-dasharray"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
}

TEST(SweepChart, ALoadAtWhichAllFailedHasNoLatency) {
  LoadReport failed;
  failed.level = {false, 4};
  const std::string svg = ToSvg(SweepChart({ReportAt(1, 10), failed}, ""));
  EXPECT_EQ(WhatIsNotWellFormed(svg), "");
  EXPECT_EQ(Count(svg, "<circle"), 6 + 2);
  EXPECT_EQ(Count(svg, "nan"), 0);
  EXPECT_EQ(Count(svg, "inf"), 0);
}

TEST(DistributionChart, RisesToTheSlowest) {
  RunResult run;
  run.level = {true, 5};
  for (int i = 1; i <= 10; ++i) {
    RequestRecord record;
    record.tokens = {Time{} + Milliseconds(i), Time{} + Milliseconds(2 * i)};
    run.records.push_back(record);
  }
  const Chart chart = DistributionChart(run, "");
  EXPECT_EQ(WhatIsNotWellFormed(ToSvg(chart)), "");
  ASSERT_EQ(chart.panels[0].series.size(), 3u);
  const auto& ttft = chart.panels[0].series[0].points;
  EXPECT_EQ(ttft.front(), std::make_pair(1.0, 0.0));
  EXPECT_EQ(ttft.back(), std::make_pair(10.0, 100.0));
  EXPECT_EQ(chart.panels[0].series[2].points.back(), std::make_pair(20.0, 100.0));
  EXPECT_EQ(WhatIsNotWellFormed(ToSvg(DistributionChart({}, ""))), "") << "nothing measured";
}

TEST(Axis, IsLogarithmicOnlyOverAWideRange) {
  EXPECT_FALSE(AxisOver({1, 20}).log);
  EXPECT_TRUE(AxisOver({1, 20.5}).log);
  EXPECT_THAT(AxisOver({3, 9.5}).ticks, ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(AxisOver({0.7, 41}).ticks, ElementsAre(0.5, 1, 2, 5, 10, 20, 50));
  EXPECT_DOUBLE_EQ(AxisOver({1, 100}).At(10), 0.5);
  EXPECT_DOUBLE_EQ(AxisOver({5, 10}).At(5), 0.5);
  EXPECT_EQ(AxisOver({0, 0}).ticks.size(), 6u);
  EXPECT_EQ(AxisOver({0, 1, 100}).At(0), 0) << "what is 0 stands at the bottom";
  const Axis loads = AxisAt({1, 4, 2, 8, 8});
  EXPECT_TRUE(loads.log);
  EXPECT_THAT(loads.ticks, ElementsAre(1, 2, 4, 8));
  EXPECT_DOUBLE_EQ(loads.At(8), 1);
  EXPECT_FALSE(AxisAt({2, 4}).log);
}

}  // namespace
}  // namespace expertmesh
