#include "transport/worker_loop.h"

#include <utility>

namespace expertmesh {

WorkerLoop::WorkerLoop(PeerJudge judge, std::function<void(absl::Status)> on_exit)
    : judge_(std::move(judge)), on_exit_(std::move(on_exit)) {}

WorkerLoop::~WorkerLoop() { Stop(); }

void WorkerLoop::Start(WorkerNode* node) {
  node_ = node;
  thread_ = std::thread([this] { Main(); });
}

void WorkerLoop::StopAfter(std::function<void(Time)> last) {
  if (!thread_.joinable()) return;
  mailbox_.Post(std::function<void(Time)>([this, last = std::move(last)](Time now) {
    last(now);
    stop_ = true;
  }));
  thread_.join();
}

void WorkerLoop::Main() {
  node_->Start(Now());
  std::vector<Event> events;
  while (!stop_) {
    mailbox_.Drain(node_->NextWakeup(), events);
    for (Event& event : events) Handle(event, Now());
    events.clear();  // give payloads back before the next wait
    if (!stop_) node_->Tick(Now());
  }
  mailbox_.Close(events);
  for (Event& event : events) {  // a task that was taken is run: somebody waits for what it does
    if (auto* task = std::get_if<std::function<void(Time)>>(&event)) (*task)(Now());
  }
}

void WorkerLoop::Handle(Event& event, Time now) {
  struct Visitor {
    WorkerNode* node;
    Time now;
    void operator()(Arrived& e) { node->OnMessage(e.channel, std::move(e.message), now); }
    void operator()(Sent& e) { node->OnSent(e.token, now); }
    void operator()(Computed& e) { node->OnComputed(e.token, now); }
    void operator()(Opened& e) { node->OnOpened(std::move(e.channel), e.peer, now); }
    void operator()(Closed& e) { node->OnClosed(e.channel, e.why, now); }
    void operator()(LinkUp&) { node->OnLinkUp(now); }
    void operator()(Command& e) { node->OnCommand(e, now); }
    void operator()(LinkDown& e) { node->OnLinkDown(e.why, now); }
    void operator()(std::function<void(Time)>& task) { task(now); }
  };
  std::visit(Visitor{node_, now}, event);
}

bool WorkerLoop::Post(std::function<void(Time)> task) { return mailbox_.Post(std::move(task)); }

void WorkerLoop::OnOpened(std::shared_ptr<Channel> channel, const Hello& peer) {
  mailbox_.Post(Opened{std::move(channel), peer});
}
void WorkerLoop::OnMessage(ChannelId channel, Message message) {
  mailbox_.Post(Arrived{channel, std::move(message)});
}
void WorkerLoop::OnClosed(ChannelId channel, absl::Status why) {
  mailbox_.Post(Closed{channel, std::move(why)});
}
void WorkerLoop::OnLinkUp() { mailbox_.Post(LinkUp{}); }
void WorkerLoop::OnCommand(Command command) { mailbox_.Post(std::move(command)); }
void WorkerLoop::OnLinkDown(absl::Status why) { mailbox_.Post(LinkDown{std::move(why)}); }
void WorkerLoop::OnPassed(uint64_t token) { mailbox_.Post(Computed{token}); }

SentCallback WorkerLoop::SentToken(uint64_t token) {
  return [this, token](const absl::Status&) { mailbox_.Post(Sent{token}); };
}

void WorkerLoop::Exit(const absl::Status& why) {
  if (auto on_exit = std::exchange(on_exit_, nullptr)) on_exit(why);
}

}  // namespace expertmesh
