#include "cli/fleet/expert_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using ::testing::HasSubstr;

constexpr ExpertGrid kGrid{1, 3, 16};  // layers 1 to 3

TEST(ExpertList, ReadsLayersAndExpertsAndRangesOfBoth) {
  auto experts = ParseExpertList("3:0-15,1:7", kGrid);
  ASSERT_TRUE(experts.ok()) << experts.status();
  EXPECT_EQ(experts->ToText(), "layer 1: experts 7; layer 3: experts 0-15");
  experts = ParseExpertList("1-3:2-3", kGrid);
  ASSERT_TRUE(experts.ok()) << experts.status();
  EXPECT_EQ(experts->ToText(), "layers 1-3: experts 2-3");
}

TEST(ExpertList, NamesThePartThatIsWrongAndItsBounds) {
  const auto refused = [](const char* text, const char* why) {
    const absl::Status status = ParseExpertList(text, kGrid).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why)) << text;
  };
  refused("", "\"\" is not LAYER:EXPERT");
  refused("1:0-3,7", "\"7\" is not LAYER:EXPERT");
  refused("1:x", "\"1:x\" is not");
  refused("1:-2", "\"1:-2\" is not");
  refused("1:2:3", "\"1:2:3\" is not");
  refused("0:3", "\"0:3\" is outside the model: it has layers 1 to 3");
  refused("1-4:3", "layers 1 to 3");
  refused("1:0-16", "experts 0 to 15");
  refused("1:99999999999", "is not");
  refused("1:5-2", "experts from 5 to 2");
}

}  // namespace
}  // namespace expertmesh
