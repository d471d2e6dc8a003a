#include "rpc/status.h"

#include <gtest/gtest.h>

#include "common/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "rpc/deadline.h"
#include "rpc/text.h"

namespace expertmesh {
namespace {

TEST(Status, EveryCodeComesBackAsItself) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    EXPECT_EQ(FromGrpcStatus(ToGrpcStatus(status)), status) << code;
    EXPECT_EQ(ToGrpcStatus(status).error_code(), code);
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
}

TEST(Status, TheRetryHintComesBackAndIsStandardRetryInfo) {
  const absl::Status status =
      WithRetryAfter(absl::UnavailableError("layer 3 lacks expert 7"), Milliseconds(1250));
  const grpc::Status wire = ToGrpcStatus(status);
  EXPECT_EQ(RetryAfter(FromGrpcStatus(wire)), Milliseconds(1250));

  google::rpc::Status rich;
  ASSERT_TRUE(rich.ParseFromString(wire.error_details()));
  EXPECT_EQ(rich.code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(rich.message(), wire.error_message());
  google::rpc::RetryInfo info;
  ASSERT_TRUE(rich.details(0).UnpackTo(&info));
  EXPECT_EQ(info.retry_delay().seconds(), 1);
  EXPECT_EQ(info.retry_delay().nanos(), 250'000'000);
}

TEST(Status, ForeignDetailsNeverHarm) {
  const auto hint_of = [](const std::string& details) {
    return RetryAfter(FromGrpcStatus(grpc::Status(grpc::StatusCode::UNAVAILABLE, "x", details)));
  };
  EXPECT_EQ(hint_of("\xff\xff not a message"), std::nullopt);
  google::rpc::Status rich;
  rich.add_details()->set_type_url("type.googleapis.com/google.rpc.RetryInfo");
  rich.mutable_details(0)->set_value("\x0a\xff");
  EXPECT_EQ(hint_of(rich.SerializeAsString()), std::nullopt);

  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(INT64_MAX);
  info.mutable_retry_delay()->set_nanos(INT32_MIN);
  rich.mutable_details(0)->PackFrom(info);
  EXPECT_EQ(hint_of(rich.SerializeAsString()), std::chrono::hours(24));
  info.mutable_retry_delay()->set_seconds(INT64_MIN);
  rich.mutable_details(0)->PackFrom(info);
  EXPECT_EQ(hint_of(rich.SerializeAsString()), Milliseconds(0));
}

TEST(Status, ACodeThatNobodyKnowsIsUnknown) {
  EXPECT_EQ(FromGrpcStatus(grpc::Status(static_cast<grpc::StatusCode>(20), "x")).code(),
            absl::StatusCode::kUnknown);
}

TEST(Status, LongAndUglyTextsFitTheTrailers) {
  const grpc::Status wire = ToGrpcStatus(absl::InternalError(std::string(100'000, 'x') + "\xff\n"));
  EXPECT_EQ(wire.error_message().size(), kMaxStatusTextBytes);
}

TEST(PlainText, KeepsUtf8AndReplacesTheRest) {
  EXPECT_EQ(PlainText("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", 100),
            "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
  EXPECT_EQ(PlainText("a\xff\x80\n\xe2\x82", 100), "a?????");
  EXPECT_EQ(PlainText("\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80", 100), "?????????");
  EXPECT_EQ(PlainText("\xc3\xbc\xc3\xbc", 3), "\xc3\xbc") << "cut between characters";
}

TEST(Deadline, NeverAndFarAwayAreNoDeadline) {
  using Wall = std::chrono::system_clock::time_point;
  EXPECT_EQ(ToGrpcDeadline(kNever), Wall::max());
  EXPECT_EQ(FromGrpcDeadline(Wall::max()), kNever);
  EXPECT_EQ(ToGrpcDeadline(Now() + std::chrono::hours(24 * 400)), Wall::max());
  const Time past = FromGrpcDeadline(Wall::min());
  EXPECT_LE(past, Now());
}

TEST(Deadline, ComesBackWithinMilliseconds) {
  const Time deadline = Now() + std::chrono::seconds(100);
  const Duration error = FromGrpcDeadline(ToGrpcDeadline(deadline)) - deadline;
  EXPECT_LT(std::chrono::abs(error), std::chrono::milliseconds(100));
}

}  // namespace
}  // namespace expertmesh
