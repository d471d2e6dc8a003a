#include "common/mailbox.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <utility>

namespace expertmesh {
namespace {

TEST(Mailbox, GivesValuesInTheOrderInWhichTheyWerePosted) {
  Mailbox<int> mailbox;
  std::vector<int> out{99};
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(mailbox.Post(i));
  mailbox.Drain(kNever, out);
  EXPECT_EQ(out, (std::vector<int>{0, 1, 2, 3, 4})) << "what was in `out` is gone";
}

TEST(Mailbox, ComesBackEmptyHandedWhenTheTimeHasCome) {
  Mailbox<int> mailbox;
  std::vector<int> out{99};
  mailbox.Drain(Time{}, out);  // long past
  EXPECT_TRUE(out.empty());
  const Time soon = Now() + Milliseconds(5);
  mailbox.Drain(soon, out);
  EXPECT_TRUE(out.empty());
  EXPECT_GE(Now(), soon);
}

TEST(Mailbox, WakesWhoWaits) {
  Mailbox<int> mailbox;
  std::thread poster([&] { mailbox.Post(7); });
  std::vector<int> out;
  mailbox.Drain(kNever, out);
  poster.join();
  EXPECT_EQ(out, std::vector<int>{7});
}

TEST(Mailbox, KeepsTheOrderOfEachPosterAndLosesNothing) {
  constexpr int kPosters = 3, kEach = 5000;
  Mailbox<std::pair<int, int>> mailbox;
  std::vector<std::thread> posters;
  for (int p = 0; p < kPosters; ++p) {
    posters.emplace_back([&mailbox, p] {
      for (int i = 0; i < kEach; ++i) mailbox.Post({p, i});
    });
  }
  std::vector<int> next(kPosters, 0);
  std::vector<std::pair<int, int>> out;
  for (int got = 0; got < kPosters * kEach; got += static_cast<int>(out.size())) {
    mailbox.Drain(kNever, out);
    for (auto [poster, value] : out) EXPECT_EQ(value, next[poster]++);
  }
  for (std::thread& poster : posters) poster.join();
  EXPECT_EQ(next, std::vector<int>(kPosters, kEach));
}

TEST(Mailbox, RefusesPostsOnceClosedAndGivesOutWhatIsInside) {
  Mailbox<std::shared_ptr<int>> mailbox;
  auto value = std::make_shared<int>(1);
  std::vector<std::shared_ptr<int>> out{nullptr};
  EXPECT_TRUE(mailbox.Post(value));
  mailbox.Close(out);
  EXPECT_EQ(out, (std::vector<std::shared_ptr<int>>{value}));
  EXPECT_FALSE(mailbox.Post(value));
  EXPECT_EQ(value.use_count(), 2) << "ours and the one that came out";
}

}  // namespace
}  // namespace expertmesh
