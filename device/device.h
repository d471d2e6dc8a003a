// device.h: where bytes live, and in what order work on them happens.
//
// Work goes to a Stream and happens there later, in order. Host code goes on at once; it learns
// that work is done through an Event, or through Stream::Notify, and never by waiting inside a
// layer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

namespace expertmesh {

enum class MemoryKind : uint8_t { kHost, kCuda };

// Bytes on a device, 64-byte aligned, zeroed when allocated. Move-only; freed with the last owner.
// Must not outlive its Device.
class Buffer {
 public:
  using Free = void (*)(std::byte* data, size_t bytes);

  Buffer() = default;
  Buffer(std::byte* data, size_t bytes, MemoryKind kind, Free free)
      : data_(data), bytes_(bytes), kind_(kind), free_(free) {}
  ~Buffer() { Release(); }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  MemoryKind kind() const { return kind_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  void Release();

  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  MemoryKind kind_ = MemoryKind::kHost;
  Free free_ = nullptr;
};

class Stream;

// A point in a Stream's order: it has passed when all work put there before it is done. A value;
// the default one has always passed. Must not outlive its stream.
class Event {
 public:
  Event() = default;
  Event(const Stream* stream, uint64_t ticket) : stream_(stream), ticket_(ticket) {}
  bool Passed() const;
  const Stream* stream() const { return stream_; }
  uint64_t ticket() const { return ticket_; }

 private:
  const Stream* stream_ = nullptr;
  uint64_t ticket_ = 0;
};

// Who is told that a stream has passed a point. Called on the stream's thread: it must not block
// and must not put work on that stream; posting to a Mailbox is what it is for.
class Notifier {
 public:
  virtual ~Notifier() = default;
  virtual void OnPassed(uint64_t token) = 0;
};

// An in-order queue of work.
//
// Threads  one thread at a time puts work; Passed may be asked from any thread.
// Memory   whatever the work names stays alive until the stream has passed it.
class Stream {
 public:
  virtual ~Stream() = default;

  virtual Event Record() = 0;
  // Later work of this stream waits for `event`, of any stream of this device.
  virtual void Wait(Event event) = 0;
  // notifier->OnPassed(token) once everything put before is done.
  virtual void Notify(Notifier* notifier, uint64_t token) = 0;
  // Blocks the host until all is done. For start, stop and tests; never in a step.
  virtual void Synchronize() = 0;
  virtual bool Passed(uint64_t ticket) const = 0;
  virtual MemoryKind memory_kind() const = 0;
};

inline bool Event::Passed() const { return stream_ == nullptr || stream_->Passed(ticket_); }

class Device {
 public:
  virtual ~Device() = default;

  // Errors  RESOURCE_EXHAUSTED: the machine has no such memory; bytes asked for are in the text.
  virtual absl::StatusOr<Buffer> Allocate(size_t bytes) = 0;
  virtual std::unique_ptr<Stream> NewStream() = 0;
  virtual MemoryKind memory_kind() const = 0;
};

}  // namespace expertmesh
