// task_loop.h: a control thread that runs what is posted to it, and a tick.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "common/mailbox.h"

namespace expertmesh {

// Tasks run one at a time, in order, with the time at which they run. After each batch of them, and
// when the wake-up that it asked for has come, `tick` runs and says when it wants to run next.
class TaskLoop {
 public:
  using Task = std::function<void(Time now)>;

  ~TaskLoop() { Stop(); }
  void Start(std::function<Time(Time now)> tick);
  // False once stopped: the task is dropped. A task that is taken is run, be it after Stop's last.
  bool Post(Task task) { return mailbox_.Post(std::move(task)); }
  // Runs `last`, then joins the thread. Idempotent. Not from a task.
  void Stop(Task last = nullptr);

 private:
  Mailbox<Task> mailbox_;
  bool stop_ = false;  // the loop's thread's
  std::thread thread_;
};

}  // namespace expertmesh
