#include "coordinator/placement/load_book.h"

#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using std::chrono::seconds;

const ExpertGrid kGrid{1, 1, 2};

TEST(LoadBook, TellsASteadyLoadFromTheFirstReportOn) {
  const Time start{seconds(1000)};
  LoadBook book(kGrid, start, seconds(60));
  for (int s = 1; s <= 600; ++s) {
    book.Add(1, 0, 500, start + seconds(s));
    EXPECT_NEAR(book.TokensPerSecond(start + seconds(s))[0], 500, 500 * 0.02) << s;
  }
  EXPECT_EQ(book.TokensPerSecond(start + seconds(600))[1], 0);
}

TEST(LoadBook, HalvesWhatIsAHalfLifeOld) {
  const Time start{seconds(0)}, later = start + seconds(100000);
  LoadBook book(kGrid, start, seconds(10));
  book.Add(1, 1, 1000, later);
  const double now = book.TokensPerSecond(later)[1];
  EXPECT_NEAR(book.TokensPerSecond(later + seconds(10))[1], now / 2, 1e-9);
  EXPECT_NEAR(book.TokensPerSecond(later + seconds(30))[1], now / 8, 1e-9);
  EXPECT_NEAR(now, 1000 * 0.0693147, 1e-3);  // ln 2 / 10 s
}

TEST(LoadBook, ForgetsAcrossAnyPause) {
  const Time start{seconds(0)};
  LoadBook book(kGrid, start, seconds(1));
  book.Add(1, 0, 1000000, start + seconds(1));
  for (int hours = 1; hours < 50; ++hours) book.Add(1, 1, 1, start + seconds(3600 * hours));
  const std::vector<double> rates = book.TokensPerSecond(start + seconds(3600 * 49));
  EXPECT_EQ(rates[0], 0);
  EXPECT_NEAR(rates[1], 0.693147, 1e-3);
}

TEST(LoadBook, IsUnknownAtTheBeginningAndDeafToWhatIsNotOfItsGrid) {
  const Time start{seconds(5)};
  LoadBook book(kGrid, start);
  EXPECT_EQ(book.TokensPerSecond(start), std::vector<double>({0, 0}));
  book.Add(0, 0, 9, start);
  book.Add(2, 0, 9, start);
  book.Add(1, 2, 9, start);
  book.Add(1, -1, 9, start);
  EXPECT_EQ(book.TokensPerSecond(start + seconds(1)), std::vector<double>({0, 0}));
}

TEST(LoadBook, TakesALateReportForOneOfNow) {
  const Time start{seconds(0)};
  LoadBook late(kGrid, start), punctual(kGrid, start);
  late.Add(1, 1, 1, start + seconds(100));
  late.Add(1, 0, 10, start + seconds(90));
  punctual.Add(1, 1, 1, start + seconds(100));
  punctual.Add(1, 0, 10, start + seconds(100));
  EXPECT_EQ(late.TokensPerSecond(start + seconds(100)),
            punctual.TokensPerSecond(start + seconds(100)));
}

}  // namespace
}  // namespace expertmesh
