#include "common/task_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace expertmesh {
namespace {

Time Never(Time) { return kNever; }

TEST(TaskLoop, RunsTasksOneAtATimeInOrder) {
  TaskLoop loop;
  loop.Start(Never);
  std::vector<int> ran;  // the loop's thread's, until Stop
  for (int i = 0; i < 100; ++i) loop.Post([&ran, i](Time) { ran.push_back(i); });
  loop.Stop();
  ASSERT_EQ(ran.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ran[i], i);
}

TEST(TaskLoop, TicksAtStartAfterTasksAndWhenTheTimeHasCome) {
  TaskLoop loop;
  std::atomic<int> ticks{0};
  std::promise<void> third;
  loop.Start([&](Time now) {
    if (++ticks == 3) third.set_value();
    return ticks == 2 ? now + Milliseconds(1) : kNever;  // the third comes by time alone
  });
  loop.Post([&](Time) { EXPECT_GE(ticks, 1) << "the first comes before all tasks"; });
  third.get_future().wait();
  loop.Stop();
  EXPECT_GE(ticks, 3);
}

TEST(TaskLoop, RunsTheLastTaskAndRefusesWhatComesAfterwards) {
  TaskLoop loop;
  loop.Start(Never);
  bool last = false;
  loop.Stop([&](Time) { last = true; });
  EXPECT_TRUE(last);
  EXPECT_FALSE(loop.Post([](Time) { ADD_FAILURE() << "runs after Stop"; }));
  loop.Stop([](Time) { ADD_FAILURE() << "a second Stop does nothing"; });
}

// A caller whose post was taken waits for what the task does: a task that is taken is run.
TEST(TaskLoop, RunsEveryTaskThatItHasTaken) {
  TaskLoop loop;
  loop.Start(Never);
  bool taken = false, ran = false;
  loop.Stop([&](Time) { taken = loop.Post([&](Time) { ran = true; }); });
  EXPECT_EQ(ran, taken);
}

TEST(TaskLoop, RunsEveryTaskThatItHasTakenFromAnyThread) {
  for (int round = 0; round < 50; ++round) {
    TaskLoop loop;
    loop.Start(Never);
    int taken = 0;
    std::atomic<int> ran{0};
    std::thread poster([&] {
      while (loop.Post([&](Time) { ++ran; })) ++taken;
    });
    while (ran == 0) std::this_thread::yield();
    loop.Stop();
    poster.join();
    ASSERT_EQ(ran, taken) << "in round " << round;
  }
}

}  // namespace
}  // namespace expertmesh
