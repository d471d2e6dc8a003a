// Text through the real programs: in and out, sampled, stopped, broken off and resumed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "cli/embedded/embedded_cluster.h"
#include "common/log.h"
#include "common/utf8.h"
#include "coordinator/text/checkpoint_text.h"
#include "tests/integration/process_cluster.h"
#include "tests/support/http_get.h"

namespace expertmesh {
namespace {

constexpr char kModel[] = EXPERTMESH_SOURCE_DIR "/models/tiny";
constexpr Duration kPatience = std::chrono::seconds(30);

// One answer: its choices' text, ids and logprob bits.
struct Answers {
  std::map<int32_t, std::string> texts;
  std::map<int32_t, Bits> bits;
  std::map<int32_t, FinishReason> finishes;
  std::optional<std::string> stop_string;
  int32_t output_tokens = 0;
  uint64_t seed = 0;

  void Add(const Delta& delta) {
    EXPECT_EQ(ValidUtf8Bytes(delta.text), delta.text.size()) << "a character is split";
    if (delta.opening.has_value()) seed = delta.opening->seed;
    texts[delta.choice] += delta.text;
    AddTo(bits[delta.choice], delta);
    if (delta.finish == FinishReason::kNone) return;
    finishes[delta.choice] = delta.finish;
    stop_string = delta.stop_string;
    output_tokens += delta.usage.output_tokens;
  }
  bool operator==(const Answers&) const = default;
};

UserRequest Sampled(std::string prompt, int32_t max_tokens) {
  UserRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0.9f;
  request.sampling.top_p = 0.95f;
  request.sampling.seed = 11;
  request.logprobs = request.ignore_eos = true;
  return request;
}

class TextTest : public testing::Test {
 protected:
  static ProcessClusterOptions Fleet(int attention, int experts) {
    ProcessClusterOptions options;
    options.model = kModel;
    options.attention_workers = attention;
    options.expert_workers = experts;
    options.coordinator_flags = {"--model", kModel};
    return options;
  }
  static Answers Ask(ProcessCluster& cluster, const UserRequest& request) {
    Answers answers;
    const absl::Status status =
        cluster.client().Generate(request, [&](const Delta& delta) { answers.Add(delta); });
    EXPECT_TRUE(status.ok()) << status;
    return answers;
  }
};

TEST_F(TextTest, TheSameSeedGivesTheSameTextAndBitsHoweverTheFleetIsSplit) {
  StartLogging("text", "error");
  EmbeddedOptions options;
  options.attention.model_folder = options.expert.model_folder = kModel;
  auto text = OpenTextModel(kModel, "");
  ASSERT_TRUE(text.ok()) << text.status();
  options.text = *text;
  auto embedded = EmbeddedCluster::Start(options);
  ASSERT_TRUE(embedded.ok()) << embedded.status();
  ASSERT_TRUE((*embedded)->WaitUntilWhole(kPatience).ok());
  UserRequest request = Sampled("Experts come and go", 24);
  request.sampling.n = 3;
  request.sampling.repetition_penalty = 1.2f;
  request.sampling.logit_bias = {{5, 2}};
  Answers alone;
  const absl::Status status = (*embedded)->Generate(request, [&](const Delta& d) { alone.Add(d); });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_NE(alone.bits[0], alone.bits[1]) << "choices have draws of their own";
  EXPECT_NE(alone.bits[1], alone.bits[2]);
  EXPECT_NE(alone.texts[0], "");
  for (auto [attention, experts] : {std::pair{1, 1}, {2, 3}}) {
    ProcessCluster cluster(Fleet(attention, experts));
    EXPECT_EQ(Ask(cluster, request), alone) << attention << " x " << experts;
    UserRequest one = request;  // a choice by itself
    one.resume = ResumePoint{{}, 2};
    EXPECT_EQ(Ask(cluster, one).bits[2], alone.bits[2]);
  }
}

TEST_F(TextTest, AStopStringIsFoundAcrossTokensAndNeverShows) {
  ProcessCluster cluster(Fleet(1, 2));
  const UserRequest request = Sampled("The front door", 40);
  const Answers whole = Ask(cluster, request);
  const std::string& text = whole.texts.at(0);
  ASSERT_GT(text.size(), 20u);
  // Any stretch of the text may be the stop string; where it begins, the text ends. (Not U+FFFD,
  // which stands for bytes that are no text.)
  int tried = 0;
  for (size_t begin = 4; begin + 6 < text.size(); ++begin) {
    UserRequest stopped = request;
    stopped.stop = {text.substr(begin, 6)};
    const std::string& stop = stopped.stop[0];
    if (ValidUtf8Bytes(stop) != stop.size() || stop.find("\xEF\xBF\xBD") != stop.npos) continue;
    ++tried;
    const size_t first = text.find(stopped.stop[0]);
    const Answers answers = Ask(cluster, stopped);
    EXPECT_EQ(answers.texts.at(0), text.substr(0, first)) << begin;
    EXPECT_EQ(answers.finishes.at(0), FinishReason::kStop);
    EXPECT_EQ(answers.stop_string, stopped.stop[0]);
    const auto made = static_cast<int32_t>(answers.bits.at(0).ids.size());
    EXPECT_EQ(answers.output_tokens, made) << "no token after it in usage";
    EXPECT_LE(made, 40);
    stopped.include_stop = true;
    EXPECT_EQ(Ask(cluster, stopped).texts.at(0), text.substr(0, first) + stopped.stop[0]);
  }
  EXPECT_GE(tried, 5);
}

// The client goes on where the answer broke off: the same text and bits, nothing twice.
TEST_F(TextTest, AnAnswerThatBreaksOffIsResumedWithTheSameBits) {
  ProcessCluster cluster(Fleet(1, 2));
  cluster.client().most_resumes = 30;
  const UserRequest request = Sampled("A worker dies", 400);
  const Answers whole = Ask(cluster, request);
  Answers broken;
  bool killed = false;
  const absl::Status status = cluster.client().Generate(request, [&](const Delta& delta) {
    broken.Add(delta);
    if (killed || broken.bits[0].ids.size() < 20) return;
    killed = true;
    cluster.Kill("e2");
    cluster.StartWorker("e2");
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(killed);
  EXPECT_EQ(broken, whole);
}

TEST_F(TextTest, AChatIsRenderedByTheCheckpointsTemplate) {
  ProcessCluster cluster(Fleet(1, 1));
  UserRequest chat = Sampled("", 8), text = chat;
  chat.prompt = ChatPrompt{{{"system", "Be brief."}, {"user", "Hi"}}};
  text.prompt = std::vector<int32_t>();
  auto model = OpenTextModel(kModel, "");
  ASSERT_TRUE(model.ok()) << model.status();
  auto ids = (*model)->Tokenize("Be brief.\n\nUser: Hi\n\nAssistant:", /*special=*/true);
  ASSERT_TRUE(ids.ok()) << ids.status();
  text.prompt = *ids;
  EXPECT_EQ(Ask(cluster, chat), Ask(cluster, text));
}

// The value of a metric in what /metrics says; -1 if it is not there.
double ValueOf(const std::string& metrics, const std::string& name) {
  const size_t at = metrics.find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::atof(metrics.c_str() + at + name.size() + 2);
}

TEST_F(TextTest, MetricsAddUpToWhatWasAsked) {
  ProcessClusterOptions options = Fleet(1, 1);
  options.coordinator_flags.push_back("--metrics-listen=127.0.0.1:0");
  ProcessCluster cluster(std::move(options));
  const std::string log = cluster.LogOf("coordinator");
  const std::string before = "metrics on http://";
  const size_t begin = log.find(before) + before.size();
  ASSERT_NE(begin, std::string::npos + before.size()) << log;
  const std::string address = log.substr(begin, log.find("/metrics", begin) - begin);

  UserRequest request = Sampled("Counted", 10);
  request.sampling.n = 2;
  const Answers answers = Ask(cluster, request);
  request.sampling.top_p = 2.0f;
  EXPECT_FALSE(cluster.client().Generate(request, [](const Delta&) {}).ok());

  const std::string metrics = HttpGet(address, "/metrics");
  const std::string calls = "expertmesh_requests_total{code=";
  EXPECT_EQ(ValueOf(metrics, calls + "\"OK\",method=\"GenerateStream\"}"), 1) << metrics;
  EXPECT_EQ(ValueOf(metrics, calls + "\"INVALID_ARGUMENT\",method=\"GenerateStream\"}"), 1);
  EXPECT_EQ(ValueOf(metrics, "expertmesh_output_tokens_total"), answers.output_tokens);
  EXPECT_GT(ValueOf(metrics, "expertmesh_prompt_tokens_total"), 0);
  EXPECT_EQ(ValueOf(metrics, "expertmesh_time_to_first_token_seconds_count"), 1);
  EXPECT_EQ(ValueOf(metrics, "expertmesh_inter_token_latency_seconds_count"), 2 * 9);
  EXPECT_EQ(ValueOf(metrics, "expertmesh_requests_running"), 0);
}

}  // namespace
}  // namespace expertmesh
