#include "common/status.h"

#include <gtest/gtest.h>

#include <string>

namespace expertmesh {
namespace {

absl::Status Passes(const absl::Status& status, bool* went_on) {
  RETURN_IF_ERROR(status);
  *went_on = true;
  return absl::OkStatus();
}

absl::StatusOr<std::string> Twice(absl::StatusOr<std::unique_ptr<std::string>> value) {
  ASSIGN_OR_RETURN(std::unique_ptr<std::string> text, std::move(value));
  return *text + *text;
}

TEST(ReturnIfError, PassesAnErrorUpAndGoesOnOtherwise) {
  bool went_on = false;
  EXPECT_EQ(Passes(absl::NotFoundError("x"), &went_on), absl::NotFoundError("x"));
  EXPECT_FALSE(went_on);
  EXPECT_TRUE(Passes(absl::OkStatus(), &went_on).ok());
  EXPECT_TRUE(went_on);
}

TEST(AssignOrReturn, MovesTheValueOutOrPassesTheErrorUp) {
  EXPECT_EQ(*Twice(std::make_unique<std::string>("ab")), "abab");
  EXPECT_EQ(Twice(absl::InternalError("no")).status(), absl::InternalError("no"));
}

TEST(RetryAfter, TravelsWithAStatusAndIsAbsentFromOthers) {
  const absl::Status status =
      WithRetryAfter(absl::UnavailableError("busy"), std::chrono::milliseconds(1500));
  EXPECT_EQ(RetryAfter(status), std::chrono::milliseconds(1500));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "busy");
  EXPECT_EQ(RetryAfter(absl::UnavailableError("busy")), std::nullopt);
  EXPECT_EQ(RetryAfter(absl::OkStatus()), std::nullopt);
  const absl::Status longer = WithRetryAfter(status, std::chrono::milliseconds(9000));
  EXPECT_EQ(RetryAfter(longer), std::chrono::milliseconds(9000)) << "the newest hint holds";
}

TEST(Unshared, SaysTheSame) {
  const absl::Status status =
      WithRetryAfter(absl::UnavailableError("gone"), std::chrono::milliseconds(250));
  EXPECT_EQ(Unshared(status), status);
  EXPECT_EQ(RetryAfter(Unshared(status)), std::chrono::milliseconds(250));
  EXPECT_EQ(Unshared(absl::OkStatus()), absl::OkStatus());
}

TEST(Annotate, PutsTheContextFirstAndKeepsCodeAndHint) {
  const absl::Status status = Annotate(
      WithRetryAfter(absl::UnavailableError("gone"), std::chrono::milliseconds(20)), "worker e0");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "worker e0: gone");
  EXPECT_EQ(RetryAfter(status), std::chrono::milliseconds(20));
  EXPECT_TRUE(Annotate(absl::OkStatus(), "worker e0").ok());
}

}  // namespace
}  // namespace expertmesh
