// channel.h: how rows travel between two workers.
//
// At most once, in any order, to one peer. A channel never heals: on the first fault it closes,
// for good, and OnClosed is called exactly once; whoever wants to go on opens another and sends
// again (a dispatch is idempotent). Closing one channel touches no other.
//
// All callbacks (Endpoint, SentCallback) run on the transport's threads, one at a time per channel,
// and must not block: posting to the role's Mailbox is what they are for.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "device/device.h"
#include "transport/handshake.h"
#include "transport/message.h"

namespace expertmesh {

// Unique within one Transport, never reused.
using ChannelId = uint64_t;

// The fate of one message: OK means that its rows' memory may be reused, not that the peer has it.
// Small (a Mailbox pointer and a token): it must fit std::function's own storage.
using SentCallback = std::function<void(absl::Status)>;

class Channel {
 public:
  virtual ~Channel() = default;
  virtual ChannelId id() const = 0;

  // Queues one message and returns at once; never blocks. The rows are read when `ready` (an event
  // of the stream that writes them) has passed.
  // Memory   header and small lists are copied; body.rows (and its index) stay untouched by the
  //          caller until `sent` runs: once, on the transport's thread, maybe before Send returns.
  //          `sent` may be null when the body has no rows.
  // Errors   RESOURCE_EXHAUSTED   window full: messages or bytes that the peer has not taken yet;
  //                               nothing queued; try again later.
  //          UNAVAILABLE          closed (or not open yet); the reason names the peer.
  //          INVALID_ARGUMENT     beyond the limits of message.h: field, value, bound.
  //          With an error `sent` does not run.
  // Threads  any; order between threads is not kept. When `ready` has not passed, Send puts a
  //          Notify on its stream: then only the thread that feeds that stream may call it.
  virtual absl::Status Send(const MessageHeader& header, const Body& body, Event ready,
                            SentCallback sent) = 0;

  // Closes with `why`, which OnClosed gets too (unless it is closed already). Returns at once: no
  // Send succeeds any more, what is queued is dropped, its `sent` called with CANCELLED, and then
  // OnClosed. The peer's OnClosed gets UNAVAILABLE with our name and the text of `why`.
  // Idempotent; any thread.
  virtual void Close(absl::Status why) = 0;
};

// What a role gives to its transport.
class Endpoint {
 public:
  virtual ~Endpoint() = default;
  // Accepting side: may this peer open a channel? Beyond CheckCompatible, which has been done.
  virtual absl::Status Judge(const Hello& peer) = 0;
  // Both sides: the handshake is done, messages may be sent. On the accepting side this is the
  // channel's first news.
  virtual void OnOpened(std::shared_ptr<Channel> channel, const Hello& peer) = 0;
  virtual void OnMessage(ChannelId channel, Message message) = 0;
  // Exactly once for every channel that Open returned or OnOpened brought; the last callback of it.
  virtual void OnClosed(ChannelId channel, absl::Status why) = 0;
};

// One transport of one role instance.
class Transport {
 public:
  virtual ~Transport() = default;

  // Starts to open a channel to `address`; OnOpened or OnClosed follows, maybe before this
  // returns. The peer is checked against `expected` and CheckCompatible. What is refused reaches
  // OnClosed of both sides by name (of the accepting side only where OnOpened had come); nobody
  // there, or no answer, is UNAVAILABLE. After Stop: a closed channel, and no callback.
  virtual std::shared_ptr<Channel> Open(absl::string_view address,
                                        const PeerExpectation& expected) = 0;

  // Who we are in handshakes from now on. To be called before the first Open; who dials us before
  // that is refused with UNAVAILABLE.
  virtual void SetHello(const Hello& mine) = 0;

  // Closes all channels and joins the transport's threads: no callback runs after it returns.
  // OnClosed comes for each of them before that. Idempotent; any thread but the transport's own.
  virtual void Stop() = 0;
};

}  // namespace expertmesh
