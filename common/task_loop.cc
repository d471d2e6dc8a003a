#include "common/task_loop.h"

#include <utility>

namespace expertmesh {

void TaskLoop::Start(std::function<Time(Time now)> tick) {
  thread_ = std::thread([this, tick = std::move(tick)] {
    std::vector<Task> tasks;
    Time wake = tick(Now());
    while (!stop_) {
      mailbox_.Drain(wake, tasks);
      for (Task& task : tasks) task(Now());
      tasks.clear();
      if (!stop_) wake = tick(Now());
    }
    mailbox_.Close(tasks);
    for (Task& task : tasks) task(Now());  // they were taken: somebody waits for what they do
  });
}

void TaskLoop::Stop(Task last) {
  if (!thread_.joinable()) return;
  mailbox_.Post([this, last = std::move(last)](Time now) {
    if (last) last(now);
    stop_ = true;
  });
  thread_.join();
}

}  // namespace expertmesh
