// The model against the oracle: Hugging Face transformers in fp32 (tools/oracle.py wrote the
// goldens).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "cli/embedded/embedded_cluster.h"
#include "common/log.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/model_runner.h"
#include "tests/support/golden_models.h"

namespace expertmesh {
namespace {

constexpr char kFolder[] = EXPERTMESH_SOURCE_DIR "/tests/golden";

// Of one architecture.
std::vector<std::string> CaseNames(Architecture architecture = Architecture::kCausalLm) {
  std::vector<std::string> names;
  for (const GoldenModel& model : GoldenModels(EXPERTMESH_SOURCE_DIR, architecture)) {
    names.push_back(model.name);
  }
  return names;
}

// 2e-4, or 2e-5 of the largest value where that is more.
float Tolerance(const std::vector<float>& golden) {
  float largest = 0;
  for (float value : golden) largest = std::max(largest, std::fabs(value));
  return 2e-4f * std::max(1.0f, largest / 10);
}

class GoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto golden = ReadGolden(absl::StrCat(kFolder, "/", GetParam()));
    ASSERT_TRUE(golden.ok()) << golden.status();
    golden_ = *std::move(golden);
  }

  const GoldenTensor& Tensor(size_t prompt, const std::string& what) {
    const std::string name = absl::StrCat("p", prompt, ".", what);
    EXPECT_TRUE(golden_.tensors.contains(name)) << name;
    return golden_.tensors[name];
  }

  // Rows of `ours` at `positions` against the golden's rows.
  void ExpectClose(const GoldenTensor& golden, ConstMatrix ours,
                   const std::vector<int32_t>& positions, const std::string& what) {
    ASSERT_EQ(golden.shape[0], static_cast<int64_t>(positions.size())) << what;
    ASSERT_EQ(golden.shape[1], ours.cols) << what;
    float worst = 0;
    for (size_t i = 0; i < positions.size(); ++i) {
      for (int64_t c = 0; c < ours.cols; ++c) {
        const float value = ours.f32()[positions[i] * ours.stride + c];
        ASSERT_TRUE(std::isfinite(value)) << what;
        worst = std::max(worst, std::fabs(value - golden.f32[i * ours.cols + c]));
      }
    }
    EXPECT_LE(worst, Tolerance(golden.f32)) << what;
    worst_ = std::max(worst_, worst / Tolerance(golden.f32));
  }

  static StepPlan PlanFor(const std::vector<int32_t>& ids) {
    StepPlan plan;
    plan.tokens = ids;
    for (size_t i = 0; i < ids.size(); ++i) plan.positions.push_back(static_cast<int32_t>(i));
    plan.slots.assign(ids.size(), 0);
    plan.blocks_stride = static_cast<int32_t>(ids.size() / kLatentBlockRows + 1);
    for (int32_t i = 0; i < plan.blocks_stride; ++i) plan.blocks.push_back(i);
    return plan;
  }

  GoldenCase golden_;
  float worst_ = 0;  // largest error as a share of the tolerance
};

TEST_P(GoldenTest, HiddenStatesOfEveryLayerAndExpertSetsAgree) {
  auto runner = ModelRunner::Open(golden_.checkpoint);
  ASSERT_TRUE(runner.ok()) << runner.status();
  const int64_t top_k = (*runner)->config().top_k;
  for (size_t p = 0; p < golden_.prompts.size(); ++p) {
    const GoldenPrompt& prompt = golden_.prompts[p];
    (*runner)->Run(
        PlanFor(prompt.token_ids),
        [&](int32_t layer, ConstMatrix residual) {
          const std::string what = absl::StrCat("hidden.", layer + 1);
          ExpectClose(Tensor(p, what), residual, prompt.kept_positions, what);
        },
        [&](int32_t layer, absl::Span<const int32_t> chosen) {
          const std::vector<int32_t>& sets = Tensor(p, absl::StrCat("experts.", layer)).i32;
          ASSERT_EQ(sets.size(), chosen.size());
          for (size_t row = 0; row < prompt.token_ids.size(); ++row) {
            std::vector<int32_t> ours(chosen.begin() + row * top_k,
                                      chosen.begin() + (row + 1) * top_k);
            std::sort(ours.begin(), ours.end());
            EXPECT_TRUE(std::equal(ours.begin(), ours.end(), sets.begin() + row * top_k))
                << "layer " << layer << " position " << row;
          }
        });
  }
  RecordProperty("worst_share_of_tolerance", absl::StrCat(worst_));
}

TEST_P(GoldenTest, LogitsAgree) {
  auto runner = ModelRunner::Open(golden_.checkpoint);
  ASSERT_TRUE(runner.ok()) << runner.status();
  for (size_t p = 0; p < golden_.prompts.size(); ++p) {
    const GoldenPrompt& prompt = golden_.prompts[p];
    const GoldenTensor& logits = Tensor(p, "logits");
    const int64_t vocabulary = logits.shape[1];
    const float tolerance = Tolerance(logits.f32);
    for (size_t first = 0; first < prompt.kept_positions.size(); first += Forward::kHeadRows) {
      StepPlan plan = PlanFor(prompt.token_ids);
      const size_t end = std::min<size_t>(first + Forward::kHeadRows, prompt.kept_positions.size());
      for (size_t i = first; i < end; ++i) plan.outputs.push_back({prompt.kept_positions[i]});
      (*runner)->Run(plan, nullptr, nullptr);
      const ConstMatrix ours = (*runner)->logits();
      float worst = 0;
      for (size_t i = first; i < end; ++i) {
        for (int64_t v = 0; v < vocabulary; ++v) {
          worst = std::max(worst, std::fabs(ours.f32()[(i - first) * ours.stride + v] -
                                            logits.f32[i * vocabulary + v]));
        }
      }
      EXPECT_LE(worst, tolerance) << "prompt " << p;
      worst_ = std::max(worst_, worst / tolerance);
    }
  }
  std::printf("%s: worst logit error is %.3f of the tolerance\n", GetParam().c_str(), worst_);
}

TEST_P(GoldenTest, GreedyTokensAreEqualAndTheirLogprobsAgree) {
  StartLogging(GetParam(), "error");
  EmbeddedOptions options;
  options.expert_workers = 2;
  options.attention.model_folder = options.expert.model_folder = golden_.checkpoint;
  options.attention.max_context = 512;
  auto cluster = EmbeddedCluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const absl::Status whole = (*cluster)->WaitUntilWhole(std::chrono::seconds(60));
  ASSERT_TRUE(whole.ok()) << whole;
  for (size_t p = 0; p < golden_.prompts.size(); ++p) {
    const GoldenPrompt& prompt = golden_.prompts[p];
    GenerateRequest request;
    request.prompt = prompt.token_ids;
    request.max_tokens = static_cast<int32_t>(prompt.greedy_token_ids.size());
    request.ignore_eos = request.logprobs = request.prompt_logprobs = true;
    std::vector<int32_t> ids;
    std::vector<float> logprobs, prompt_logprobs;
    const absl::Status status = (*cluster)->Generate(request, [&](const Delta& delta) {
      prompt_logprobs.insert(prompt_logprobs.end(), delta.prompt_logprobs.begin(),
                             delta.prompt_logprobs.end());
      for (const OutputToken& token : delta.tokens) {
        ids.push_back(token.id);
        logprobs.push_back(token.logprob);
      }
    });
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(ids, prompt.greedy_token_ids) << "prompt " << p;
    const auto expect_close = [&](const std::vector<float>& ours, const std::string& what) {
      const std::vector<float>& golden = Tensor(p, what).f32;
      ASSERT_EQ(ours.size(), golden.size()) << what;
      for (size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(ours[i], golden[i], 4e-4) << what << i;
    };
    expect_close(logprobs, "logprobs");
    expect_close(prompt_logprobs, "prompt_logprobs");
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenTest, testing::ValuesIn(CaseNames()),
                         [](const auto& info) { return info.param; });

TEST(Goldens, AreThere) {
  EXPECT_GE(CaseNames().size(), 19u);
  EXPECT_GE(CaseNames(Architecture::kModel).size(), 2u);
  EXPECT_GE(CaseNames(Architecture::kSequenceClassification).size(), 2u);
}

}  // namespace
}  // namespace expertmesh
