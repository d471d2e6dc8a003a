// control_link.h: the one stream between a worker and control, whatever carries it.
//
// The worker opens it (workers dial, control never does), reports go one way, commands the other.
// A link does not heal: when it is down, the worker opens another. In order, without gaps, while it
// lives; simulation breaks that on purpose, and both sides stand it (report.h is level-triggered).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "cluster/report.h"

namespace expertmesh {

// The worker's end. Callbacks come on the link's own thread and must not block; after OnLinkDown of
// one Connect nothing comes of it any more.
class ControlLinkListener {
 public:
  virtual ~ControlLinkListener() = default;
  virtual void OnLinkUp() = 0;
  virtual void OnCommand(Command command) = 0;
  virtual void OnLinkDown(absl::Status why) = 0;
};

class ControlLink {
 public:
  virtual ~ControlLink() = default;
  // Opens a new link, after letting go of the one before, if any. OnLinkUp or OnLinkDown follows.
  virtual void Connect(ControlLinkListener* listener) = 0;
  // Sends on the open link; dropped when there is none. At most one report waits to be written: a
  // newer one replaces it, since a report carries the whole state.
  virtual void Send(const Report& report) = 0;
  // Ends the link: no callback after it returns.
  virtual void Stop() = 0;
};

// Control's end. One of these per link, named by a number that is greater than those of all links
// before it.
using LinkId = uint64_t;

// What control's service calls when something happens on a link; must not block.
class ControlServerListener {
 public:
  virtual ~ControlServerListener() = default;
  // `send` and `close` may be called from any thread, until OnLinkClosed has been called. A newer
  // command replaces one that waits to be written.
  struct Link {
    std::function<void(const Command&)> send;
    std::function<void()> close;
  };
  virtual void OnLinkOpened(LinkId id, Link link) = 0;
  virtual void OnReport(LinkId id, Report report) = 0;
  virtual void OnLinkClosed(LinkId id) = 0;  // exactly once, the last
};

}  // namespace expertmesh
