// process.h: one life of one program: a clock, a mailbox, and a control thread that can be paused.
//
// What happens to a process is posted; a little later its loop takes all that came, then ticks: as
// WorkerLoop and TaskLoop do with threads. While it is paused (SIGSTOP) posts wait and its clock
// goes on. When it dies (SIGKILL) everything in it is gone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "simulation/world.h"

namespace expertmesh::simulation {

class LinkServer;
class Monitor;
class RequestServer;
class SimTransport;
class Socket;

// Names on the network: who shares a host is cut off together.
using HostId = int;

struct ProcessIdentity {
  std::string name;     // of the worker or coordinator
  int life = 0;         // counts the lives of a name, from 1
  std::string address;  // where it is dialled
  HostId host = 0;
};

// What a process answers to when it is dialled; null: that service is not here.
struct Doors {
  SimTransport* channels = nullptr;   // rows, from other workers
  LinkServer* links = nullptr;        // control, from workers
  RequestServer* requests = nullptr;  // generations, from front doors
};

class Process {
 public:
  Process(World* world, Monitor* monitor, ProcessIdentity identity);
  virtual ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const ProcessIdentity& identity() const { return identity_; }
  const std::string& label() const { return label_; }  // "a0.2": name and life
  World& world() const { return *world_; }
  Monitor& monitor() const { return *monitor_; }

  // Its own clock, and the world's time that its clock's time stands for.
  Time now() const { return world_->events.now() + clock_offset_; }
  Time ToWorld(Time own) const { return own == kNever ? kNever : own - clock_offset_; }
  Time ToOwn(Time world) const { return world == kNever ? kNever : world + clock_offset_; }

  // Dropped when it is dead.
  void Post(Task task);

  bool alive() const { return alive_; }
  bool paused() const { return paused_; }
  void Pause() { paused_ = true; }
  void Resume();
  void JumpClock(Duration forward);
  // Everything is gone. Its sockets are closed by its kernel, unless `silent` (the host is gone
  // too). May be called from inside one of its own tasks.
  void Die(bool silent);
  // After Die, when none of its tasks is running: frees what is in it.
  virtual void Discard() = 0;

  void Adopt(const std::shared_ptr<Socket>& socket);  // closed when the process dies
  const Doors& doors() const { return doors_; }

  // To be called once, by whoever made it: Start comes first in its loop.
  void Begin();

 protected:
  virtual void Start() = 0;
  virtual void Tick() = 0;
  virtual Time NextWakeup() const = 0;
  // State-based invariants of this process; after every task and tick.
  virtual void Inspect() = 0;

  Doors doors_;

 private:
  void SchedulePump();
  void Pump();
  void Rearm();
  void NoteSpin(bool due_already);

  World* world_;
  Monitor* monitor_;
  ProcessIdentity identity_;
  std::string label_;
  Duration clock_offset_;
  bool alive_ = true;
  bool paused_ = false;
  bool pump_scheduled_ = false;
  Time armed_ = kNever;  // world time of the wake-up that is scheduled
  uint64_t arming_ = 0;  // number of the newest
  int spins_ = 0;        // ticks in a row that asked to be called again at once
  std::vector<Task> inbox_;
  std::vector<Task> batch_;
  std::vector<std::weak_ptr<Socket>> sockets_;
};

}  // namespace expertmesh::simulation
