// What is told of a prompt alone, against the oracle: final hidden states and class logits of every
// golden model, over 1 expert worker and over 3.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "cli/embedded/embedded_cluster.h"
#include "common/log.h"
#include "tests/golden/golden_file.h"
#include "tests/support/golden_models.h"

namespace expertmesh {
namespace {

std::vector<std::string> AllNames() {
  std::vector<std::string> names;
  for (Architecture architecture :
       {Architecture::kCausalLm, Architecture::kModel, Architecture::kSequenceClassification}) {
    for (const GoldenModel& model : GoldenModels(EXPERTMESH_SOURCE_DIR, architecture)) {
      names.push_back(model.name);
    }
  }
  return names;
}

class HeadsGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    StartLogging(GetParam(), "error");
    auto golden = ReadGolden(absl::StrCat(EXPERTMESH_SOURCE_DIR, "/tests/golden/", GetParam()));
    ASSERT_TRUE(golden.ok()) << golden.status();
    golden_ = *std::move(golden);
    for (int experts : {1, 3}) {
      EmbeddedOptions options;
      options.expert_workers = experts;
      options.attention.model_folder = options.expert.model_folder = golden_.checkpoint;
      options.attention.max_context = 512;
      options.attention.prefill_chunk = experts == 1 ? 512 : 7;
      auto cluster = EmbeddedCluster::Start(options);
      ASSERT_TRUE(cluster.ok()) << cluster.status();
      clusters_.push_back(*std::move(cluster));
      const absl::Status whole = clusters_.back()->WaitUntilWhole(std::chrono::seconds(60));
      ASSERT_TRUE(whole.ok()) << whole;
    }
  }

  // Of both fleets, which must agree to the bit.
  std::vector<float> Ask(const std::vector<int32_t>& prompt, Pooling pooling) {
    GenerateRequest request;
    request.prompt = prompt;
    request.pooling = pooling;
    std::vector<std::vector<float>> told(clusters_.size());
    for (size_t i = 0; i < clusters_.size(); ++i) {
      const absl::Status status = clusters_[i]->Generate(request, [&](const Delta& delta) {
        told[i].insert(told[i].end(), delta.values.begin(), delta.values.end());
      });
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_EQ(told[0], told[1]);
    return told[0];
  }

  // 2e-4, or 2e-5 of the golden's value where that is more.
  void ExpectClose(absl::Span<const float> ours, absl::Span<const float> golden,
                   const std::string& what) {
    ASSERT_EQ(ours.size(), golden.size()) << what;
    for (size_t i = 0; i < ours.size(); ++i) {
      const float tolerance = 2e-4f * std::max(1.0f, std::fabs(golden[i]) / 10);
      ASSERT_NEAR(ours[i], golden[i], tolerance) << what << " " << i;
      worst_ = std::max(worst_, std::fabs(ours[i] - golden[i]) / tolerance);
    }
  }

  GoldenCase golden_;
  std::vector<std::unique_ptr<EmbeddedCluster>> clusters_;
  float worst_ = 0;  // largest error as a share of the tolerance
};

TEST_P(HeadsGoldenTest, HiddenStatesAndClassLogitsAgree) {
  for (size_t p = 0; p < golden_.prompts.size(); ++p) {
    SCOPED_TRACE(absl::StrCat("prompt ", p));
    const GoldenPrompt& prompt = golden_.prompts[p];
    const GoldenTensor& states = golden_.tensors[absl::StrCat("p", p, ".final_norm")];
    const size_t width = static_cast<size_t>(states.shape.at(1));
    const std::vector<float> all = Ask(prompt.token_ids, Pooling::kAll);
    ASSERT_EQ(all.size(), prompt.token_ids.size() * width);
    for (size_t i = 0; i < prompt.kept_positions.size(); ++i) {
      ExpectClose({&all[prompt.kept_positions[i] * width], width}, {&states.f32[i * width], width},
                  absl::StrCat("position ", prompt.kept_positions[i]));
    }
    const std::vector<float> last = Ask(prompt.token_ids, Pooling::kLast);
    EXPECT_TRUE(std::equal(last.begin(), last.end(), all.end() - static_cast<ptrdiff_t>(width)));
    const std::vector<float> mean = Ask(prompt.token_ids, Pooling::kMean);
    for (size_t c = 0; c < width; ++c) {
      double sum = 0;
      for (size_t i = c; i < all.size(); i += width) sum += all[i];
      ASSERT_EQ(mean.at(c), static_cast<float>(sum / prompt.token_ids.size()));
    }
    const auto logits = golden_.tensors.find(absl::StrCat("p", p, ".class_logits"));
    if (logits == golden_.tensors.end()) continue;
    ExpectClose(Ask(prompt.token_ids, Pooling::kClasses), logits->second.f32, "class logits");
  }
  std::printf("%s: worst error is %.3f of the tolerance\n", GetParam().c_str(), worst_);
}

INSTANTIATE_TEST_SUITE_P(Cases, HeadsGoldenTest, testing::ValuesIn(AllNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace expertmesh
