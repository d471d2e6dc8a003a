#include "rpc/metrics_port.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include "tests/support/http_get.h"

namespace expertmesh {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<prometheus::Registry> OneCounter() {
  auto registry = std::make_shared<prometheus::Registry>();
  prometheus::BuildCounter().Name("birds_total").Register(*registry).Add({}).Increment(3);
  return registry;
}

TEST(MetricsPort, ServesWhatIsCounted) {
  auto port = MetricsPort::Start("localhost:0", false, OneCounter());
  ASSERT_TRUE(port.ok()) << port.status();
  EXPECT_THAT(HttpGet((*port)->address(), "/metrics"), HasSubstr("birds_total 3"));
  EXPECT_THAT(HttpGet((*port)->address(), "/"), HasSubstr("404"));
}

TEST(MetricsPort, RefusesWhatItCannotServeOn) {
  auto port = MetricsPort::Start("127.0.0.1:0", false, OneCounter());
  ASSERT_TRUE(port.ok()) << port.status();
  const auto start = [](const std::string& listen, bool insecure) {
    return MetricsPort::Start(listen, insecure, OneCounter()).status();
  };
  EXPECT_EQ(start((*port)->address(), false).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(start("0.0.0.0:0", false).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(start("0.0.0.0:0", true).ok());
  EXPECT_EQ(start("unix:/tmp/metrics", false).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(start("some.host:1", true).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(start("nonsense", false).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(start("192.0.2.1:0", true).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace expertmesh
