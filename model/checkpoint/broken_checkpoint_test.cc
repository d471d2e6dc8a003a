// Checkpoints that are broken in one way each: the message must name the file and the tensor or
// field, what was found and what was expected. The cases are in broken_*_test.cc beside this.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <utility>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/test_util.h"

namespace expertmesh::broken {
namespace {

using ::testing::HasSubstr;

Cases AllCases() {
  return Joined(
      {ConfigCases(), FileCases(), HeaderCases(), TensorCases(), ShardCases(), GenerationCases()});
}

// The good checkpoints that cases begin with, each written once.
class GoodCheckpoints {
 public:
  const CheckpointFolder& Of(const Broken& broken) {
    std::unique_ptr<CheckpointFolder>& good =
        folders_[{ConfigJson(broken.config), broken.options.shards}];
    if (good == nullptr) {
      good = std::make_unique<CheckpointFolder>(broken.options, broken.config);
      EXPECT_EQ(Checkpoint::Open(good->path()).status(), absl::OkStatus());
    }
    return *good;
  }

 private:
  std::map<std::pair<std::string, int>, std::unique_ptr<CheckpointFolder>> folders_;
};

TEST(BrokenCheckpoint, IsRefusedByFileAndFieldOrTensor) {
  GoodCheckpoints good;
  for (const Broken& broken : AllCases()) {
    SCOPED_TRACE(broken.what);
    const CheckpointFolder folder(CheckpointFolder::kEmpty);
    std::filesystem::copy(good.Of(broken).path(), folder.path());
    broken.damage(folder);
    const absl::Status status = Checkpoint::Open(folder.path()).status();
    EXPECT_EQ(status.code(), broken.code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(broken.message));
  }
}

TEST(BrokenCheckpoint, ComesInMoreThanAHundredWays) {
  std::set<std::string> names;
  for (const Broken& broken : AllCases()) {
    EXPECT_TRUE(names.insert(broken.what).second) << broken.what << " is there twice";
  }
  EXPECT_GT(names.size(), 100u);
}

TEST(BrokenCheckpoint, IsRefusedForTooManyShards) {
  CheckpointFolder folder({.shards = 2});
  Json map = Json::object();
  for (int i = 0; i <= 1000; ++i) map["t" + std::to_string(i)] = std::to_string(i) + ".safetensors";
  folder.Write(kIndex, Json({{"weight_map", map}}).dump());
  EXPECT_THAT(std::string(Checkpoint::Open(folder.path()).status().message()),
              HasSubstr("field weight_map: found 1001 files, expected at most 1000"));
}

TEST(BrokenCheckpoint, IsRefusedForAFolderThatIsNone) {
  CheckpointFolder folder(CheckpointFolder::kEmpty);
  EXPECT_TRUE(absl::IsNotFound(Checkpoint::Open(folder.path()).status()));
  EXPECT_TRUE(absl::IsNotFound(Checkpoint::Open(folder.File("none")).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Checkpoint::Open("").status()));
  folder.Write("file", "");
  EXPECT_THAT(std::string(Checkpoint::Open(folder.File("file")).status().message()),
              HasSubstr("file/config.json: Not a directory"));
}

}  // namespace
}  // namespace expertmesh::broken
