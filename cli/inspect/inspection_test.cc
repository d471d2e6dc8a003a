#include "cli/inspect/inspection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/inspect/report.h"
#include "cli/inspect/words.h"
#include "cli/text/numbers.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

TEST(Inspect, TellsAFolderWithoutWeightsFromABrokenOne) {
  CheckpointFolder folder;
  EXPECT_TRUE(Inspect(folder.path())->has_weights);
  std::filesystem::remove(folder.File("model.safetensors"));
  const Inspection bare = Inspect(folder.path()).value();
  EXPECT_FALSE(bare.has_weights);
  EXPECT_TRUE(bare.files.empty());
  EXPECT_GT(bare.holdings.stored.total(), 0u);
  EXPECT_THAT(ToText(bare), HasSubstr("no weights here"));
  EXPECT_EQ(Json::parse(ToJson(bare))["stored_bytes"]["assumed"], true);
  // A shard without its index, as an interrupted download leaves it.
  folder.Write("model-00001-of-000002.safetensors", "");
  EXPECT_THAT(std::string(Inspect(folder.path()).status().message()), HasSubstr("found neither"));
  std::filesystem::remove(folder.File("config.json"));
  EXPECT_TRUE(absl::IsNotFound(Inspect(folder.path()).status()));
}

TEST(Inspect, SharesExpertsEvenlyAndLeavesNoWorkerWithoutAny) {
  CheckpointFolder folder;
  const Inspection inspection = Inspect(folder.path()).value();  // 16 experts
  const std::vector<ExpertShare> shares = ExpertShares(inspection);
  ASSERT_EQ(shares.size(), 5u);
  EXPECT_EQ(shares[0].experts, 16);
  EXPECT_EQ(shares[0].bytes, inspection.holdings.packed.of(TensorRole::kRoutedExperts));
  EXPECT_EQ(shares[4].workers, 16);
  EXPECT_EQ(shares[4].experts, 1);
  EXPECT_EQ(shares[4].bytes, inspection.holdings.packed.expert);

  ModelConfig dense = SmallModelConfig();
  dense.first_moe_layer = dense.layers;
  EXPECT_TRUE(ExpertShares(*Inspect(CheckpointFolder({}, dense).path())).empty());
}

TEST(Report, SaysTheSameInBothForms) {
  ModelConfig config = SmallModelConfig();
  config.architecture = Architecture::kSequenceClassification;
  config.labels = {"good", "bad\x1b"};
  const CheckpointFolder folder({.shards = 2}, config);
  Inspection inspection = Inspect(folder.path()).value();
  inspection.folder = "no UTF-8: \xff";
  const Json json = Json::parse(ToJson(inspection));
  EXPECT_EQ(json["architecture"], "DeepseekV2ForSequenceClassification");
  EXPECT_EQ(json["files"].size(), 2u);
  EXPECT_EQ(json["labels"].size(), 2u);
  EXPECT_EQ(json["parameters"]["total"], inspection.census.total);
  EXPECT_EQ(json["attention_worker"]["weight_bytes"], inspection.attention_weight_bytes());
  EXPECT_EQ(json["cache"]["bytes_per_token"], 3 * 40 * 4);
  const std::string text = ToText(inspection);
  EXPECT_THAT(text, HasSubstr("DeepseekV2ForSequenceClassification"));
  EXPECT_THAT(text, HasSubstr(Grouped(inspection.census.total)));
  EXPECT_THAT(text, HasSubstr("480 bytes in f32"));
  EXPECT_THAT(text, HasSubstr("2: good, bad\\x1b\n")) << "nothing that a terminal obeys";
  EXPECT_THAT(text, HasSubstr("no tokenizer here"));
}

TEST(Words, SpellNumbersForPeople) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1000), "1,000");
  EXPECT_EQ(Grouped(15706484224), "15,706,484,224");
  EXPECT_EQ(InBytes(0), "0 B");
  EXPECT_EQ(InBytes(999), "999 B");
  EXPECT_EQ(InBytes(1000), "1.00 kB");
  EXPECT_EQ(InBytes(999'960), "1.00 MB");
  EXPECT_EQ(InBytes(31'412'968'448), "31.41 GB");
  EXPECT_EQ(InBytes(UINT64_MAX), "18446.7 PB");
  EXPECT_EQ(InBillions(671'026'404'352), "671.0 B");
  EXPECT_EQ(InBillions(12), "12");
}

}  // namespace
}  // namespace expertmesh
