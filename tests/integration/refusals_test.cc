// Bad requests to the real front door: each gets the code and the text of docs/api.md, and the
// server serves on.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/text/prepare.h"
#include "coordinator/text/text_door.h"
#include "generation/request.h"
#include "model/jinja/budget.h"
#include "model/tokenizer/tokenizer.h"
#include "rpc/delta_stream.h"
#include "rpc/status.h"
#include "rpc/unary_reactor.h"
#include "tests/integration/front_doors.h"
#include "tests/integration/written_page.h"

namespace expertmesh {
namespace {

std::string CodeName(const grpc::Status& status) {
  return absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code()));
}

// A door of its own is said before the request.
std::string Where(Door door) {
  switch (door) {
    case Door::kTiny:
      return "";
    case Door::kTokensOnly:
      return "without a checkpoint: ";
    case Door::kNoTemplate:
      return "no chat template: ";
    case Door::kStrict:
      return "a template that objects: ";
    case Door::kBusy:
      return "a worker that takes 1 request and has it: ";
    case Door::kEmpty:
      return "no worker has joined: ";
    case Door::kNoAttention:
      return "no attention worker: ";
    case Door::kHalfCovered:
      return "some experts fit no worker: ";
  }
  return "";
}

std::string Row(const RefusalCase& bad, const grpc::Status& status) {
  const std::string request = absl::StrCat(Where(bad.door), bad.shown);
  return absl::StrCat("| ", absl::StrReplaceAll(request, {{"|", "\\|"}}), " | ", CodeName(status),
                      " | `", absl::StrReplaceAll(status.error_message(), {{"|", "\\|"}}), "` |");
}

class RefusalsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { StartLogging("refusals", "error"); }

  grpc::Status Send(const RefusalCase& bad, const std::string& method) {
    std::unique_ptr<FrontDoors::Work> work;
    if (bad.door == Door::kBusy) work = std::make_unique<FrontDoors::Work>(doors_);
    bool first = true;
    return doors_.Call(bad.door, method, bad.bytes, [&](const std::string&) {
      if (bad.abort.empty() || !std::exchange(first, false)) return;
      const std::string abort =
          RequestBytes("Abort", absl::StrCat("request_id: \"", bad.abort, "\""));
      const grpc::Status aborted = doors_.Call(bad.door, "Abort", abort, nullptr);
      EXPECT_TRUE(aborted.ok()) << aborted.error_message();
    });
  }

  // A good request gets its answer.
  void ExpectServes(const std::string& after) {
    int messages = 0;
    const grpc::Status status =
        doors_.Call(Door::kTiny, "GenerateStream",
                    RequestBytes("GenerateStream", "text: \"Hi\" stopping { max_tokens: 1 }"),
                    [&](const std::string&) { ++messages; });
    EXPECT_TRUE(status.ok()) << status.error_message() << " after " << after;
    EXPECT_GE(messages, 1) << after;
  }

  FrontDoors doors_;
};

TEST_F(RefusalsTest, EachBadRequestGetsTheCodeAndTheTextOfThePage) {
  std::vector<std::string> lines;
  std::set<std::string> rows;
  for (const RefusalGroup& group : RefusalCases()) {
    lines.insert(lines.end(),
                 {"", "### " + group.title, "", "| request | status | text |", "|---|---|---|"});
    for (const RefusalCase& bad : group.cases) {
      const grpc::Status status = Send(bad, bad.method);
      EXPECT_FALSE(status.ok()) << bad.shown;
      EXPECT_NE(status.error_code(), grpc::StatusCode::INTERNAL) << bad.shown;
      EXPECT_NE(status.error_code(), grpc::StatusCode::UNKNOWN) << bad.shown;
      EXPECT_NE(status.error_message(), "") << bad.shown;
      const bool waits = status.error_code() == grpc::StatusCode::UNAVAILABLE;
      EXPECT_TRUE(!waits || RetryAfter(FromGrpcStatus(status)).has_value()) << bad.shown;
      lines.push_back(Row(bad, status));
      EXPECT_TRUE(rows.insert(lines.back()).second) << "twice: " << lines.back();
      ExpectServes(bad.shown);
      if (bad.method != "GenerateStream" || !bad.abort.empty()) continue;
      EXPECT_EQ(Row(bad, Send(bad, "Generate")), lines.back()) << "the unary call says otherwise";
    }
  }
  lines.push_back("");
  EXPECT_GE(rows.size(), 50u);
  ExpectOnApiPage("refusals", lines);
}

TEST(Limits, StandOnThePageAsInTheCode) {
  std::vector<std::string> lines = {"", "| what | bound | name |", "|---|---|---|"};
  const auto row = [&](const char* what, auto bound, const char* unit, const char* name) {
    lines.push_back(absl::StrCat("| ", what, " | ", bound, unit, " | `", name, "` |"));
  };
  const auto range = [&](const char* what, float least, float most, const char* name) {
    row(what, absl::StrCat(least, " to ", most), "", name);
  };
  row("a message, either way", kMaxControlMessageBytes, " bytes", "kMaxControlMessageBytes");
  row("the whole answer of `Generate`", kMaxUnaryBytes, " bytes", "kMaxUnaryBytes");
  row("what waits for a reader of `GenerateStream`", kMaxWaitingDeltaBytes, " bytes",
      "kMaxWaitingDeltaBytes");
  row("pieces are merged up to", kMaxPieceBytes, " bytes", "kMaxPieceBytes");
  row("calls at once on one connection; more wait in the client", kMaxStreamsPerConnection, "",
      "kMaxStreamsPerConnection");
  row("requests that run or wait at a front door", TextDoorOptions().max_running, "",
      "TextDoorOptions::max_running");
  row("sequences that run at a worker", AttentionWorkerOptions().max_sequences, " (a flag)",
      "--max-sequences");
  row("sequences that wait there besides", AttentionWorkerOptions().max_waiting, " (a flag)",
      "--max-waiting");
  row("the text of a status", kMaxStatusTextBytes, " bytes", "kMaxStatusTextBytes");
  row("`request_id`", kMaxRequestIdBytes, " bytes", "kMaxRequestIdBytes");
  row("`priority`, either sign", kMaxPriority, "", "kMaxPriority");
  row("hidden states of one `EmbedResponse`", kMaxPooledValues, " values", "kMaxPooledValues");
  row("`cache_salt`", kMaxCacheSaltBytes, " bytes", "kMaxCacheSaltBytes");
  row("`text`, of a prompt and of `Tokenize`", kTextBytesMax, " bytes", "kTextBytesMax");
  row("`chat.messages`", kMaxMessages, "", "kMaxMessages");
  row("what the chat template makes of them", jinja::Limits().output_bytes_max, " bytes",
      "jinja::Limits::output_bytes_max");
  row("steps that it takes for that", jinja::Limits().steps_max, "", "jinja::Limits::steps_max");
  row("memory that it takes for that", jinja::Limits().bytes_max, " bytes",
      "jinja::Limits::bytes_max");
  row("`token_ids` of `Detokenize`", kMaxDetokenizeIds, "", "kMaxDetokenizeIds");
  row("prompt and output, at a worker", AttentionWorkerOptions().max_context,
      " tokens (a flag), and at most the model's", "--max-context");
  row("prompt and output, of any model", kMostContext, " tokens", "kMostContext");
  row("`n`", absl::StrCat("1 to ", kMaxChoices), "", "kMaxChoices");
  row("`n` times `max_tokens`, for `n` above 1", kMaxTotalOutputTokens, " tokens",
      "kMaxTotalOutputTokens");
  range("`temperature`", 0, kMaxTemperature, "kMaxTemperature");
  range("`presence_penalty`, `frequency_penalty`", -kMaxPenalty, kMaxPenalty, "kMaxPenalty");
  range("`repetition_penalty`", kLeastRepetitionPenalty, kMaxRepetitionPenalty,
        "kLeastRepetitionPenalty`, `kMaxRepetitionPenalty");
  row("`logit_bias`", kMaxLogitBiases, "", "kMaxLogitBiases");
  range("a bias", -kMaxLogitBias, kMaxLogitBias, "kMaxLogitBias");
  row("`allowed_tokens`", absl::StrCat("1 to ", kMaxAllowedTokenIds), "", "kMaxAllowedTokenIds");
  row("`stop`", kMaxStopStrings, "", "kMaxStopStrings");
  row("a stop string", absl::StrCat("1 to ", kMaxStopStringBytes), " bytes", "kMaxStopStringBytes");
  row("`stop_token_ids`", kMaxStopTokenIds, "", "kMaxStopTokenIds");
  row("`top_logprobs`", absl::StrCat("0 to ", kMaxTopLogprobs), ", and the vocabulary",
      "kMaxTopLogprobs");
  lines.push_back("");
  ExpectOnApiPage("limits", lines);
}

}  // namespace
}  // namespace expertmesh
