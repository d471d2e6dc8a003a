#include "device/cpu/cpu_device.h"

#include <sys/mman.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "common/check.h"

namespace expertmesh {
namespace {

void Unmap(std::byte* data, size_t bytes) { ::munmap(data, bytes); }

}  // namespace

absl::StatusOr<Buffer> CpuDevice::Allocate(size_t bytes) {
  if (bytes == 0) return Buffer();
  // Mapped memory is zeroed, page-aligned, and costs nothing until it is touched.
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for a buffer of ", bytes, " bytes"));
  }
  if (bytes >= (size_t{2} << 20)) ::madvise(data, bytes, MADV_HUGEPAGE);
  return Buffer(static_cast<std::byte*>(data), bytes, MemoryKind::kHost, Unmap);
}

CpuStream::CpuStream(const CpuDeviceOptions& options)
    : pool_(options.threads),
      debug_delays_(options.debug_delays),
      debug_state_(options.debug_seed * 2 + 1),
      slots_(kSlots),
      thread_([this] { Main(); }) {}

CpuStream::~CpuStream() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CpuStream::Push(const Slot& slot) {
  {
    MutexLock lock(mutex_);
    while (pushed_ - done_.load(std::memory_order_acquire) >= kSlots) changed_.wait(lock.native());
    slots_[pushed_ % kSlots] = slot;
    ++pushed_;
  }
  changed_.notify_all();
}

void CpuStream::Main() {
  SetFloatingPointMode();
  for (uint64_t next = 0;; ++next) {
    {
      MutexLock lock(mutex_);
      while (pushed_ == next && !stop_) changed_.wait(lock.native());
      if (pushed_ == next) return;
    }
    if (debug_delays_) Dawdle();
    Slot& slot = slots_[next % kSlots];
    slot.run(slot.bytes, pool_);
    {
      MutexLock lock(mutex_);
      done_.store(next + 1, std::memory_order_release);
    }
    changed_.notify_all();
  }
}

void CpuStream::Dawdle() {
  debug_state_ = debug_state_ * 6364136223846793005u + 1442695040888963407u;
  std::this_thread::sleep_for(std::chrono::microseconds((debug_state_ >> 33) % 200));
}

Event CpuStream::Record() {
  MutexLock lock(mutex_);
  return Event(this, pushed_);
}

void CpuStream::Wait(Event event) {
  if (event.stream() == this || event.Passed()) return;
  Launch([event](ThreadPool&) {
    const auto* other = static_cast<const CpuStream*>(event.stream());
    auto* stream = const_cast<CpuStream*>(other);
    MutexLock lock(stream->mutex_);
    while (!event.Passed()) stream->changed_.wait(lock.native());
  });
}

void CpuStream::Notify(Notifier* notifier, uint64_t token) {
  Launch([notifier, token](ThreadPool&) { notifier->OnPassed(token); });
}

void CpuStream::Synchronize() {
  MutexLock lock(mutex_);
  const uint64_t target = pushed_;
  while (done_.load(std::memory_order_acquire) < target) changed_.wait(lock.native());
}

bool CpuStream::Passed(uint64_t ticket) const {
  return done_.load(std::memory_order_acquire) >= ticket;
}

}  // namespace expertmesh
