#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "device/arena.h"
#include "device/cpu/cpu_device.h"

namespace expertmesh {
namespace {

TEST(CpuStream, DoesWorkInTheOrderInWhichItWasPut) {
  CpuDevice device({.threads = 2});
  auto stream = device.NewStream();
  auto* cpu = static_cast<CpuStream*>(stream.get());
  int value = 0;
  int* p = &value;
  for (int i = 0; i < 3000; ++i) {  // more than the queue has slots
    cpu->Launch([p, i](ThreadPool&) { *p = *p == i ? i + 1 : -1; });
  }
  stream->Synchronize();
  EXPECT_EQ(value, 3000);
}

TEST(CpuStream, WaitsForAnEventOfAnotherStreamUnderDebugDelays) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    CpuDevice device({.threads = 1, .debug_delays = true, .debug_seed = seed});
    auto writer = device.NewStream();
    auto reader = device.NewStream();
    int value = 0, seen = -1;
    int *v = &value, *s = &seen;
    static_cast<CpuStream*>(writer.get())->Launch([v](ThreadPool&) { *v = 7; });
    reader->Wait(writer->Record());
    static_cast<CpuStream*>(reader.get())->Launch([v, s](ThreadPool&) { *s = *v; });
    reader->Synchronize();
    EXPECT_EQ(seen, 7);
  }
}

TEST(CpuStream, TellsTheNotifierAfterTheWork) {
  struct Recorder : Notifier {
    void OnPassed(uint64_t t) override { token = t; }
    std::atomic<uint64_t> token{0};
  } recorder;
  CpuDevice device({});
  auto stream = device.NewStream();
  Event before = stream->Record();
  stream->Notify(&recorder, 42);
  stream->Synchronize();
  EXPECT_EQ(recorder.token, 42u);
  EXPECT_TRUE(before.Passed());
  EXPECT_TRUE(Event().Passed());
}

TEST(ThreadPool, CoversEveryIndexOnce) {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    std::vector<std::atomic<int>> hits(1000);
    for (int round = 0; round < 50; ++round) {
      pool.ParallelFor(1000, 7, [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; ++i) ++hits[i];
      });
    }
    for (auto& h : hits) EXPECT_EQ(h, 50);
  }
}

TEST(Arena, HandsOutAlignedPiecesAndTakesThemBack) {
  CpuDevice device({});
  Arena arena(*device.Allocate(1024));
  auto a = arena.Take<float>(3);
  auto b = arena.Take<float>(3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data()) % 64, 0u);
  EXPECT_GE(b.data(), a.data() + 3);
  arena.Reset();
  EXPECT_EQ(arena.Take<float>(3).data(), a.data());
  EXPECT_DEATH(arena.Take<float>(1024), "sized for less");
}

}  // namespace
}  // namespace expertmesh
