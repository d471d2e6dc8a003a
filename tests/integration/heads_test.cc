// Embeddings and classes, asked of separate processes and of the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/integration/process_cluster.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::SizeIs;

constexpr Duration kPatience = std::chrono::seconds(60);

// A V3 classifier of three classes.
ModelConfig ClassifierConfig() {
  ModelConfig config = SmallModelConfig();
  config.architecture = Architecture::kSequenceClassification;
  config.gate_method = GateMethod::kNoAux;
  config.renormalise_gate = true;
  config.attention_bias = true;
  config.labels = {"bad", "so so", "good"};
  config.pad_token_id = 3;
  return config;
}

struct Outcome {
  int code = -1;
  std::string out, err;
};

Outcome RunProgram(std::vector<std::string> words) {
  const std::string log = testing::TempDir() + "/heads.err";
  std::remove(log.c_str());
  auto process = Process::Start("expertmesh", std::move(words), log);
  Outcome outcome;
  outcome.out = process->ReadAll(kPatience);
  outcome.code = process->Wait(kPatience).value_or(-1);
  std::ifstream file(log);
  outcome.err = std::string(std::istreambuf_iterator<char>(file), {});
  return outcome;
}

json RunJson(std::vector<std::string> words) {
  words.push_back("--json");
  const Outcome outcome = RunProgram(std::move(words));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return json::parse(outcome.out, nullptr, false);
}

std::vector<int32_t> SomePrompt(int32_t length) {
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < length; ++i) prompt.push_back(4 + i * 31 % 90);
  return prompt;
}

Delta AskOf(ProcessCluster& cluster, const std::vector<int32_t>& prompt, Pooling pooling,
            bool normalise = false) {
  UserRequest request;
  request.prompt = prompt;
  request.pooling = pooling;
  request.normalise = normalise;
  Delta answer;
  const absl::Status status =
      cluster.client().Generate(request, [&](const Delta& delta) { answer = delta; });
  EXPECT_EQ(status, absl::OkStatus());
  return answer;
}

TEST(Heads, EmbeddingsAreTheSameInOneProcessAndInFive) {
  CheckpointFolder model;
  ProcessCluster cluster({.model = model.path(), .expert_workers = 3});
  for (int32_t length : {1, 5, 70, 300}) {
    const std::vector<int32_t> prompt = SomePrompt(length);
    const std::string ids = absl::StrJoin(prompt, ",");
    const struct {
      Pooling pooling;
      bool normalise;
      std::vector<std::string> flags;
    } cases[] = {{Pooling::kLast, false, {}},
                 {Pooling::kMean, false, {"--pooling", "mean"}},
                 {Pooling::kAll, false, {"--pooling", "all"}},
                 {Pooling::kMean, true, {"--pooling", "mean", "--normalize"}}};
    for (const auto& one : cases) {
      SCOPED_TRACE(absl::StrCat(length, " tokens ", absl::StrJoin(one.flags, " ")));
      std::vector<std::string> words = {"embed", "--model", model.path(), "--token-ids", ids};
      words.insert(words.end(), one.flags.begin(), one.flags.end());
      const json embedded = RunJson(words);
      const Delta answer = AskOf(cluster, prompt, one.pooling, one.normalise);
      std::vector<float> values;
      if (one.pooling == Pooling::kAll) {
        ASSERT_THAT(embedded["embeddings"], SizeIs(length));
        for (const json& state : embedded["embeddings"]) {
          for (const json& value : state) values.push_back(value.get<float>());
        }
      } else {
        values = embedded["embedding"].get<std::vector<float>>();
        ASSERT_THAT(values, SizeIs(SmallModelConfig().hidden));
      }
      EXPECT_EQ(answer.values, values);
      EXPECT_EQ(answer.usage.prompt_tokens, length);
      EXPECT_EQ(embedded["usage"]["prompt_tokens"], length);
    }
  }
  // Beside one that generates, on the same model.
  UserRequest request;
  request.prompt = SomePrompt(5);
  request.max_tokens = 3;
  EXPECT_EQ(cluster.client().Generate(request, [](const Delta&) {}), absl::OkStatus());
  request.pooling = Pooling::kClasses;
  const absl::Status refused = cluster.client().Generate(request, [](const Delta&) {});
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("no score head"));
}

TEST(Heads, ClassesAreTheSameInOneProcessAndInFive) {
  CheckpointFolder model({}, ClassifierConfig());
  ProcessCluster cluster({.model = model.path(), .expert_workers = 3});
  for (std::vector<int32_t> prompt :
       {SomePrompt(1), SomePrompt(40), std::vector<int32_t>{5, 6, 3, 3}, {3, 3}}) {
    const std::string ids = absl::StrJoin(prompt, ",");
    const json embedded = RunJson({"classify", "--model", model.path(), "--token-ids", ids});
    const Delta answer = AskOf(cluster, prompt, Pooling::kClasses);
    EXPECT_EQ(answer.values, embedded["logits"].get<std::vector<float>>());
    ASSERT_THAT(answer.values, SizeIs(3));
    const auto best = std::max_element(answer.values.begin(), answer.values.end());
    EXPECT_EQ(embedded["best"], best - answer.values.begin());
    EXPECT_EQ(answer.label, ClassifierConfig().labels[best - answer.values.begin()]);
    EXPECT_EQ(embedded["label"], answer.label);
    // With --server, too.
    EXPECT_EQ(RunJson({"classify", "--server", cluster.address(), "--token-ids", ids})["logits"],
              embedded["logits"]);
  }
  EXPECT_EQ(AskOf(cluster, {5, 6, 3, 3}, Pooling::kClasses).values,
            AskOf(cluster, {5, 6}, Pooling::kClasses).values);
  UserRequest request;
  request.prompt = SomePrompt(5);
  const absl::Status refused = cluster.client().Generate(request, [](const Delta&) {});
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::string(refused.message()), "the model is a classifier: it generates not");
}

TEST(Heads, ThePrintOutIsForPeople) {
  CheckpointFolder model({}, ClassifierConfig());
  const Outcome classes = RunProgram({"classify", "--model", model.path(), "--token-ids", "5,6"});
  EXPECT_EQ(classes.code, 0);
  EXPECT_THAT(classes.out, testing::ContainsRegex("^(bad|so so|good)\n  0: "));
  const Outcome state = RunProgram({"embed", "--model", model.path(), "--token-ids", "5,6"});
  EXPECT_EQ(state.code, 0);
  EXPECT_EQ(std::count(state.out.begin(), state.out.end(), ' '), ClassifierConfig().hidden - 1);
  const Outcome text = RunProgram({"embed", "--model", model.path(), "--text", "Hi"});
  EXPECT_EQ(text.code, 1);
  EXPECT_EQ(text.out, "");
  EXPECT_THAT(text.err, HasSubstr("FAILED_PRECONDITION"));
  EXPECT_EQ(RunProgram({"embed", "--model", model.path(), "--token-ids", "5,x"}).code, 1);
  EXPECT_EQ(RunProgram({"embed", "--model", model.path()}).code, 2);
}

}  // namespace
}  // namespace expertmesh
