#include "transport/handshake.h"

#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/match.h"

namespace expertmesh {
namespace {

Hello Worker() {
  Hello hello;
  hello.name = "e0";
  hello.role = WorkerRole::kExpert;
  hello.incarnation = {3, 5};
  hello.model = {1, 2};
  hello.compute_class = {"cpu-f32", 7};
  hello.hidden = 64;
  return hello;
}

void ExpectNamed(const absl::Status& status, absl::string_view text) {
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), text)) << status;
}

TEST(Handshake, NamesWhatTwoWorkersDifferIn) {
  EXPECT_TRUE(CheckCompatible(Worker(), Worker()).ok());
  auto differs = [](auto change, absl::string_view text) {
    Hello theirs = Worker();
    change(theirs);
    ExpectNamed(CheckCompatible(Worker(), theirs), text);
  };
  differs([](Hello& h) { h.wire_version = 9; }, "wire version differs: ours is 1, the peer's is 9");
  differs([](Hello& h) { h.wire_dtype = DType::kBf16; }, "wire dtype differs: ours is f32");
  differs([](Hello& h) { h.model.low = 3; }, "the peer's is 00000000000000010000000000000003");
  differs([](Hello& h) { h.hidden = 65; }, "row width (hidden) differs: ours is 64");
}

TEST(Handshake, DescribesAPeerInOneLine) {
  Hello odd = Worker();
  EXPECT_EQ(Describe(odd), "expert worker e0 (3#5)");
  odd.name = "e0\nERROR all is lost";
  EXPECT_EQ(Describe(odd), "expert worker e0\\nERROR all is lost (3#5)");
}

TEST(Handshake, LetsNamesRolesAndClassesDiffer) {
  Hello theirs = Worker();
  theirs.name = "a0";
  theirs.role = WorkerRole::kAttention;
  theirs.incarnation = {9, 9};
  theirs.compute_class.name = "cuda";
  EXPECT_TRUE(CheckCompatible(Worker(), theirs).ok());
}

TEST(Handshake, NamesWhoAnsweredInsteadOfTheExpectedPeer) {
  const PeerExpectation expected = {"e0", WorkerRole::kExpert, {3, 5}, {"cpu-f32", 7}};
  EXPECT_TRUE(CheckExpected(expected, Worker()).ok());
  auto differs = [&](auto change, absl::string_view text) {
    Hello theirs = Worker();
    change(theirs);
    ExpectNamed(CheckExpected(expected, theirs), text);
  };
  differs([](Hello& h) { h.name = "e1"; }, "name should be e0, is e1");
  differs([](Hello& h) { h.role = WorkerRole::kAttention; }, "role should be expert, is attention");
  differs([](Hello& h) { h.incarnation.number = 6; }, "incarnation should be 3#5, is 3#6");
  differs([](Hello& h) { h.compute_class.fingerprint = 8; }, "is cpu-f32/0000000000000008");
}

}  // namespace
}  // namespace expertmesh
