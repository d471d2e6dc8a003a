#include "rpc/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rpc/worker_flags.h"

namespace expertmesh {
namespace {

using ::testing::HasSubstr;

TEST(Address, ReadsItsThreeForms) {
  EXPECT_EQ(ParseAddress("node-1.example:50051")->host, "node-1.example");
  EXPECT_EQ(ParseAddress("[::1]:7")->host, "::1");
  EXPECT_EQ(ParseAddress("[::1]:7")->port, 7);
  EXPECT_TRUE(ParseAddress("unix:/run/em.sock")->is_unix);
  for (const char* text : {"127.0.0.1:0", "[2001:db8::1]:65535", "unix:/a", "localhost:1"}) {
    EXPECT_EQ(ToString(*ParseAddress(text)), text);
  }
}

TEST(Address, RefusesEverythingElse) {
  for (const char* text : {"",
                           ":",
                           ":80",
                           "host",
                           "host:",
                           "host:x",
                           "host:65536",
                           "host:-1",
                           "host: 80",
                           "::1:80",
                           "[::1]80",
                           "[::1]",
                           "[host]:80",
                           "ho st:80",
                           "dns:///host:80",
                           "ipv4:127.0.0.1:80",
                           "unix:",
                           "*:80",
                           "host:99999999999999999999",
                           "a/b:1"}) {
    EXPECT_EQ(ParseAddress(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_FALSE(ParseAddress(std::string(254, 'h') + ":1").ok());
  EXPECT_FALSE(ParseAddress("unix:" + std::string(108, 'p')).ok());
  EXPECT_TRUE(ParseAddress("unix:" + std::string(107, 'p')).ok());
}

TEST(Address, ListensOnLoopbackOnly) {
  for (const char* text : {"127.0.0.1:1", "127.255.3.4:0", "[::1]:1", "[0:0:0:0:0:0:0:1]:1",
                           "localhost:1", "LocalHost:1", "unix:/x"}) {
    EXPECT_TRUE(CheckListenAddress(text, false).ok()) << text;
  }
  for (const char* text :
       {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "128.0.0.1:1", "126.0.0.1:1", "127.0.0.1.example:1",
        "localhost.example:1", "127.1:1", "[::ffff:127.0.0.1]:1", "[fe80::1]:1", "2130706433:1"}) {
    const absl::Status status = CheckListenAddress(text, false);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--allow-insecure-listen"));
    EXPECT_TRUE(CheckListenAddress(text, true).ok()) << text;
  }
  EXPECT_THAT(std::string(CheckListenAddress("nonsense", true).message()), HasSubstr("--listen"));
}

TEST(Address, AdvertisesOnlyWhatPeersCanDial) {
  EXPECT_EQ(*AdvertisedAddress("127.0.0.1:4000", ""), "127.0.0.1:4000");
  EXPECT_EQ(*AdvertisedAddress("0.0.0.0:4000", "node7:4000"), "node7:4000");
  EXPECT_THAT(std::string(AdvertisedAddress("0.0.0.0:4000", "").status().message()),
              HasSubstr("--advertise"));
  EXPECT_FALSE(AdvertisedAddress("[::]:4000", "").ok());
  EXPECT_FALSE(AdvertisedAddress("127.0.0.1:4000", "node7:0").ok());
}

TEST(WorkerFlags, NameTheFlagThatIsWrong) {
  WorkerFlags fleet;
  fleet.name = "a1";
  fleet.coordinator = "127.0.0.1:50051";
  ListenFlags listen{.listen = "127.0.0.1:0"};
  EXPECT_TRUE(CheckWorkerFlags(fleet, listen).ok());
  const auto text = [&] { return std::string(CheckWorkerFlags(fleet, listen).message()); };
  fleet.name = "a 1";
  EXPECT_THAT(text(), HasSubstr("--name"));
  fleet.name = "a1";
  fleet.coordinator = "127.0.0.1";
  EXPECT_THAT(text(), HasSubstr("--coordinator"));
  fleet.coordinator = "127.0.0.1:50051";
  listen.listen = "10.1.2.3:0";
  EXPECT_THAT(text(), HasSubstr("--allow-insecure-listen"));
  listen = {.listen = "0.0.0.0:0", .allow_insecure_listen = true};
  EXPECT_THAT(text(), HasSubstr("--advertise"));
  fleet.advertise = "node7:123";
  EXPECT_TRUE(CheckWorkerFlags(fleet, listen).ok());
}

}  // namespace
}  // namespace expertmesh
