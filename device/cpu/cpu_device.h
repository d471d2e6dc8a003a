// cpu_device.h: host memory, and a stream that is a thread with a queue.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "common/mutex.h"
#include "common/thread_pool.h"
#include "device/device.h"

namespace expertmesh {

struct CpuDeviceOptions {
  int threads = 1;  // compute threads of each stream, the stream's own thread included
  // Debug mode: before each piece of work a stream dawdles for a while drawn from `debug_seed`, so
  // that two streams which ought to wait for each other, and do not, show it.
  bool debug_delays = false;
  uint64_t debug_seed = 0;
};

class CpuStream final : public Stream {
 public:
  explicit CpuStream(const CpuDeviceOptions& options);
  ~CpuStream() override;  // after all work is done

  // Puts work(pool) on the stream. `work` is copied into a slot of the queue (no allocation): it
  // must be trivially copyable and at most kWorkBytes long. Blocks only while kSlots are taken.
  template <typename Work>
  void Launch(Work work) {
    static_assert(std::is_trivially_copyable_v<Work> && sizeof(Work) <= kWorkBytes);
    Slot slot;
    std::memcpy(slot.bytes, &work, sizeof(Work));
    slot.run = [](std::byte* bytes, ThreadPool& pool) {
      (*std::launder(reinterpret_cast<Work*>(bytes)))(pool);
    };
    Push(slot);
  }

  Event Record() override;
  void Wait(Event event) override;
  void Notify(Notifier* notifier, uint64_t token) override;
  void Synchronize() override;
  bool Passed(uint64_t ticket) const override;
  MemoryKind memory_kind() const override { return MemoryKind::kHost; }

  static constexpr size_t kWorkBytes = 320;
  static constexpr size_t kSlots = 1024;

 private:
  struct Slot {
    void (*run)(std::byte* bytes, ThreadPool& pool) = nullptr;
    alignas(16) std::byte bytes[kWorkBytes];
  };

  void Push(const Slot& slot);
  void Main();
  void Dawdle();

  ThreadPool pool_;
  const bool debug_delays_;
  uint64_t debug_state_;
  std::vector<Slot> slots_;
  mutable Mutex mutex_;
  std::condition_variable changed_;
  uint64_t pushed_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<uint64_t> done_{0};
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(CpuDeviceOptions options) : options_(options) {}

  absl::StatusOr<Buffer> Allocate(size_t bytes) override;
  std::unique_ptr<Stream> NewStream() override { return std::make_unique<CpuStream>(options_); }
  MemoryKind memory_kind() const override { return MemoryKind::kHost; }

 private:
  CpuDeviceOptions options_;
};

}  // namespace expertmesh
