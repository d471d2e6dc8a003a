#include "rpc/unreadable.h"

#include <gtest/gtest.h>

#include <random>

#include "expertmesh/v1/generation.pb.h"

namespace expertmesh {
namespace {

std::string Why(absl::string_view bytes) {
  return WhyUnreadable(bytes, *v1::GenerateRequest::descriptor());
}

v1::GenerateRequest SomeRequest() {
  v1::GenerateRequest request;
  request.set_request_id("mine");
  for (const char* text : {"one", "two"}) {
    v1::ChatMessage* message = request.mutable_chat()->add_messages();
    message->set_role("user");
    message->set_content(text);
  }
  request.mutable_sampling()->set_temperature(1);
  request.mutable_stopping()->add_stop("END");
  request.mutable_stopping()->add_stop("FIN");
  request.mutable_stopping()->add_stop_token_ids(5);
  return request;
}

TEST(WhyUnreadable, NamesTheFieldThatIsNoText) {
  const std::string good = SomeRequest().SerializeAsString();
  for (auto [text, why] : {std::pair{"mine", "request_id is not valid UTF-8 at byte 1"},
                           {"two", "chat.messages[1].content is not valid UTF-8 at byte 1"},
                           {"FIN", "stopping.stop[1] is not valid UTF-8 at byte 1"}}) {
    std::string bad = good;
    bad[bad.find(text) + 1] = '\xFF';
    EXPECT_EQ(Why(bad), why);
  }
}

TEST(WhyUnreadable, NamesTheFieldInWhichTheBytesBreakOff) {
  const std::string good = SomeRequest().SerializeAsString();
  EXPECT_EQ(Why(good.substr(0, 4)), "request_id is cut short or malformed");
  EXPECT_EQ(Why(good.substr(0, good.find("two"))), "chat is cut short or malformed");
  EXPECT_EQ(Why(good.substr(0, good.size() - 1)), "stopping is cut short or malformed");
  EXPECT_EQ(Why("\xF2\x01\x03\x1A\x05x"), "stopping.stop[0] is cut short or malformed");
  EXPECT_EQ(Why("\xFF"), "the request's 1 bytes are no GenerateRequest: cut short or malformed");
  EXPECT_EQ(Why(std::string("\x00", 1)),
            "the request's 1 bytes are no GenerateRequest: cut short or malformed");
}

TEST(WhyUnreadable, StandsAnyBytes) {
  const uint32_t seed = testing::UnitTest::GetInstance()->random_seed();
  std::mt19937 random(seed);
  const std::string good = SomeRequest().SerializeAsString();
  for (int i = 0; i < 20'000; ++i) {
    std::string bad = good.substr(0, random() % (good.size() + 1));
    for (int j = 0; j < 3 && !bad.empty(); ++j) {
      bad[random() % bad.size()] = static_cast<char>(random());
    }
    EXPECT_FALSE(Why(bad).empty()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace expertmesh
