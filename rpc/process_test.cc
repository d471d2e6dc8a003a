#include "rpc/process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

namespace expertmesh {
namespace {

TEST(StopSignals, WakesForASignalAndForAWord) {
  StopSignals signals;
  pthread_kill(pthread_self(), SIGTERM);  // other tests have left threads that block nothing
  EXPECT_EQ(signals.Wait(), SIGTERM);
  signals.Wake();
  signals.Wake();
  EXPECT_EQ(signals.Wait(), std::nullopt);
  std::thread other([&] { signals.Wake(); });
  EXPECT_EQ(signals.Wait(), std::nullopt);
  other.join();
}

TEST(ExitReason, KeepsTheFirstAndGivesItsExitCode) {
  StopSignals signals;
  ExitReason reason(&signals);
  EXPECT_TRUE(reason.Get().ok());
  reason.Set(absl::AbortedError("fenced: a newer life has the name"));
  reason.Set(absl::InternalError("second"));
  EXPECT_EQ(signals.Wait(), std::nullopt);
  EXPECT_EQ(ExitCode("test", reason.Get()), kExitFenced);
  EXPECT_EQ(ExitCode("test", absl::OkStatus()), 0);
  EXPECT_EQ(ExitCode("test", absl::NotFoundError("no model")), kExitFailed);
}

}  // namespace
}  // namespace expertmesh
