#include "cli/default_model.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace expertmesh {
namespace {

namespace fs = std::filesystem;

class DefaultModelTest : public testing::Test {
 protected:
  DefaultModelTest() : root_(fs::path(testing::TempDir()) / "default_model") {
    fs::remove_all(root_);
  }
  ~DefaultModelTest() override { fs::remove_all(root_); }

  std::string Put(const std::string& folder) {
    fs::create_directories(root_ / folder);
    std::ofstream(root_ / folder / "config.json") << "{}";
    return (root_ / folder).string();
  }
  std::string Find() {
    return FindDefaultModel((root_ / "tree/build/release/bin/expertmesh").string(),
                            (root_ / "here").string());
  }
  fs::path root_;
};

TEST_F(DefaultModelTest, IsLookedForInTheSourceTreeThenWhereItIsInstalledThenHere) {
  EXPECT_EQ(Find(), "");
  const std::string here = Put("here/models/demo");
  EXPECT_EQ(Find(), here);
  const std::string installed = Put("tree/build/release/share/expertmesh/models/demo");
  EXPECT_EQ(Find(), installed);
  const std::string built = Put("tree/models/demo");
  EXPECT_EQ(Find(), built);
}

TEST_F(DefaultModelTest, AFolderWithoutAModelIsNone) {
  fs::create_directories(root_ / "here/models/demo");
  EXPECT_EQ(Find(), "");
}

}  // namespace
}  // namespace expertmesh
