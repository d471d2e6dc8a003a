#include "coordinator/text/text_door.h"

#include <atomic>
#include <map>
#include <random>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/mutex.h"
#include "common/status.h"
#include "common/task_loop.h"
#include "coordinator/text/text_session.h"

namespace expertmesh {
namespace {

uint64_t DrawNumber() {
  thread_local std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

// What is to be kept gets a key, unless it has one.
std::optional<KeptAnswer> KeptOf(const UserRequest& request) {
  if (request.resume.has_value() && request.resume->kept.has_value()) return request.resume->kept;
  if (!request.keep) return std::nullopt;
  return KeptAnswer{{DrawNumber(), DrawNumber()}, "", {}};
}

}  // namespace

struct TextDoor::Impl {
  // One choice's listener at the port.
  struct Leg final : GenerationListener {
    Impl* impl = nullptr;
    RequestId request = 0;
    size_t index = 0;
    RequestId at_port = 0;
    bool running = false;  // of the text thread

    void OnDelta(RequestId, Delta delta) override {
      auto shared = std::make_shared<Delta>(std::move(delta));
      impl->LoopOf(request).Post([impl = impl, request = request, index = index, shared](Time) {
        impl->OnDelta(request, index, std::move(*shared));
      });
    }
    // The leg may be gone as soon as its task is posted.
    void OnEnd(RequestId, absl::Status status) override {
      impl->LoopOf(request).Post([impl = impl, request = request, index = index,
                                  status = std::move(status)](Time) mutable {
        impl->OnEnd(request, index, std::move(status));
      });
    }
  };

  // A request's life on its text thread. It stays until its last leg has ended.
  struct Running {
    std::unique_ptr<TextSession> session;
    std::vector<std::unique_ptr<Leg>> legs;
    GenerationListener* listener = nullptr;  // null once it has been told the end
    size_t running_legs = 0;
    bool detached = false;  // what ends of it is kept, if it is to be
  };
  struct Thread {
    TaskLoop loop;
    std::map<RequestId, Running> running;
    bool over = false;  // EndAll was here
  };

  std::shared_ptr<const TextModel> model;
  AttentionPort* port = nullptr;
  std::function<RequestId()> port_id;
  TextDoorOptions options;
  std::atomic<RequestId> next_id{1};
  std::atomic<int> aside{0};  // calls of PostAside that wait or run
  std::vector<std::unique_ptr<Thread>> threads;

  mutable Mutex mutex;
  struct Named {
    std::string name;  // may be empty
    bool cancelled = false;
    bool aborted = false;
  };
  std::multimap<std::string, RequestId> by_name ABSL_GUARDED_BY(mutex);
  std::map<RequestId, Named> names ABSL_GUARDED_BY(mutex);  // of all that run or wait
  bool stopped ABSL_GUARDED_BY(mutex) = false;

  Thread& ThreadOf(RequestId id) { return *threads[id % threads.size()]; }
  TaskLoop& LoopOf(RequestId id) { return ThreadOf(id).loop; }

  void Begin(RequestId id, const UserRequest& request, GenerationListener* listener);
  void OnDelta(RequestId id, size_t leg, Delta delta);
  void OnEnd(RequestId id, size_t leg, absl::Status status);
  void Cancel(RequestId id, bool detach = false);
  void Tell(RequestId id, Running& running, absl::Status status);
  void End(RequestId id, bool detach);  // from outside
  void EndAll(Thread& thread);

  absl::Status Name(RequestId id, const std::string& name);
  absl::Status MayBegin(RequestId id, const UserRequest& request);
  absl::Status PostAside(RequestId turn, TaskLoop::Task work);
  Named Unname(RequestId id);
};

// ---- on the request's text thread

void TextDoor::Impl::Begin(RequestId id, const UserRequest& request, GenerationListener* listener) {
  const absl::Status may_begin = MayBegin(id, request);
  absl::StatusOr<Prepared> prepared =
      may_begin.ok() ? Prepare(request, *model, DrawNumber()) : absl::StatusOr<Prepared>(may_begin);
  Running& running = ThreadOf(id).running[id];
  running.listener = listener;
  if (!prepared.ok()) {
    Tell(id, running, prepared.status());
    ThreadOf(id).running.erase(id);
    return;
  }
  running.session = std::make_unique<TextSession>(request, *prepared, *model);
  running.running_legs = prepared->choices.size();
  for (size_t i = 0; i < prepared->choices.size(); ++i) {
    auto leg = std::make_unique<Leg>();
    leg->impl = this;
    leg->request = id;
    leg->index = i;
    leg->at_port = port_id();
    leg->running = true;
    running.legs.push_back(std::move(leg));
  }
  for (size_t i = 0; i < running.legs.size(); ++i) {
    GenerateRequest choice = prepared->request;
    choice.choice = prepared->choices[i];
    choice.kept = KeptOf(request);
    if (i > 0) choice.prompt_logprobs = false;  // told once
    port->Start(running.legs[i]->at_port, std::move(choice), running.legs[i].get());
  }
}

void TextDoor::Impl::OnDelta(RequestId id, size_t leg, Delta delta) {
  auto found = ThreadOf(id).running.find(id);
  if (found == ThreadOf(id).running.end() || found->second.listener == nullptr) return;
  Running& running = found->second;
  running.listener->OnDelta(id, running.session->OnDelta(leg, std::move(delta)));
}

void TextDoor::Impl::OnEnd(RequestId id, size_t leg, absl::Status status) {
  auto found = ThreadOf(id).running.find(id);
  if (found == ThreadOf(id).running.end()) return;
  Running& running = found->second;
  running.legs[leg]->running = false;
  --running.running_legs;
  if (!status.ok() || running.running_legs == 0) {
    Cancel(id, running.detached);  // the other choices
    Tell(id, running, std::move(status));
  }
  if (running.running_legs == 0) ThreadOf(id).running.erase(found);
}

void TextDoor::Impl::Cancel(RequestId id, bool detach) {
  auto found = ThreadOf(id).running.find(id);
  if (found == ThreadOf(id).running.end()) return;
  found->second.detached |= detach;
  for (const auto& leg : found->second.legs) {
    if (!leg->running) continue;
    detach ? port->Detach(leg->at_port) : port->Cancel(leg->at_port);
  }
}

void TextDoor::Impl::Tell(RequestId id, Running& running, absl::Status status) {
  if (running.listener == nullptr) return;
  const Named named = Unname(id);
  if (named.aborted && absl::IsCancelled(status)) {
    status = absl::CancelledError(
        absl::StrCat("aborted by its request_id, \"", absl::CHexEscape(named.name), "\""));
  }
  std::exchange(running.listener, nullptr)->OnEnd(id, std::move(status));
}

// The port has stopped: no leg is heard of any more.
void TextDoor::Impl::EndAll(Thread& thread) {
  thread.over = true;
  for (auto& [id, running] : thread.running) {
    Tell(id, running, TryAgainLater("the front door is shutting down"));
  }
  thread.running.clear();
}

absl::Status TextDoor::Impl::MayBegin(RequestId id, const UserRequest& request) {
  if (ThreadOf(id).over) return TryAgainLater("the front door is shutting down");
  if (Now() >= request.deadline) {
    return absl::DeadlineExceededError("the request's deadline passed");
  }
  MutexLock lock(mutex);
  const bool cancelled = names.at(id).cancelled;
  return cancelled ? absl::CancelledError("cancelled before it began") : absl::OkStatus();
}

// Work beside requests, on a text thread. Errors  RESOURCE_EXHAUSTED, UNAVAILABLE: it will not run.
absl::Status TextDoor::Impl::PostAside(RequestId turn, TaskLoop::Task work) {
  if (aside.fetch_add(1) >= options.max_running) {
    aside.fetch_sub(1);
    return WithRetryAfter(absl::ResourceExhaustedError("too many calls wait"), kRetryHint);
  }
  const bool posted = LoopOf(turn).Post([this, work = std::move(work)](Time now) {
    work(now);
    aside.fetch_sub(1);
  });
  if (posted) return absl::OkStatus();
  aside.fetch_sub(1);
  return TryAgainLater("the front door is shutting down");
}

// ---- names

absl::Status TextDoor::Impl::Name(RequestId id, const std::string& name) {
  MutexLock lock(mutex);
  if (names.size() >= static_cast<size_t>(options.max_running)) {
    return WithRetryAfter(
        absl::ResourceExhaustedError(
            absl::StrCat(names.size(), " requests run or wait; at most ", options.max_running)),
        kRetryHint);
  }
  names[id].name = name;
  if (!name.empty()) by_name.emplace(name, id);
  return absl::OkStatus();
}

TextDoor::Impl::Named TextDoor::Impl::Unname(RequestId id) {
  MutexLock lock(mutex);
  auto named = names.extract(id);
  if (named.empty()) return {};
  const auto [begin, end] = by_name.equal_range(named.mapped().name);
  for (auto it = begin; it != end; ++it) {
    if (it->second != id) continue;
    by_name.erase(it);
    break;
  }
  return std::move(named.mapped());
}

// ---- from outside

TextDoor::TextDoor(TextDoorOptions options, std::shared_ptr<const TextModel> model,
                   AttentionPort* port, std::function<RequestId()> port_id)
    : impl_(std::make_unique<Impl>()) {
  impl_->model = std::move(model);
  impl_->options = options;
  impl_->port = port;
  impl_->port_id = std::move(port_id);
  for (int i = 0; i < options.threads; ++i) {
    impl_->threads.push_back(std::make_unique<Impl::Thread>());
    impl_->threads.back()->loop.Start([](Time) { return kNever; });
  }
}

TextDoor::~TextDoor() { Stop(); }

RequestId TextDoor::NewRequestId() { return impl_->next_id.fetch_add(1); }

void TextDoor::Start(RequestId id, UserRequest request, GenerationListener* listener) {
  Impl* impl = impl_.get();
  if (absl::Status named = impl->Name(id, request.request_id); !named.ok()) {
    listener->OnEnd(id, std::move(named));
    return;
  }
  auto shared = std::make_shared<const UserRequest>(std::move(request));
  const bool posted = impl->LoopOf(id).Post(
      [impl, id, shared, listener](Time) { impl->Begin(id, *shared, listener); });
  if (posted) return;
  impl->Unname(id);
  listener->OnEnd(id, TryAgainLater("the front door is shutting down"));
}

void TextDoor::Impl::End(RequestId id, bool detach) {
  {
    MutexLock lock(mutex);
    const auto named = names.find(id);
    if (named == names.end()) return;
    named->second.cancelled = true;  // if it has not begun, it will not
  }
  LoopOf(id).Post([this, id, detach](Time) { Cancel(id, detach); });
}

void TextDoor::Cancel(RequestId id) { impl_->End(id, /*detach=*/false); }
void TextDoor::Detach(RequestId id) { impl_->End(id, /*detach=*/true); }
void TextDoor::Forget(const KeptAnswer& kept) { impl_->port->Forget(kept); }

int TextDoor::Abort(const std::string& request_id) {
  std::vector<RequestId> ids;
  {
    MutexLock lock(impl_->mutex);
    const auto [begin, end] = impl_->by_name.equal_range(request_id);
    for (auto it = begin; it != end; ++it) {
      ids.push_back(it->second);
      impl_->names.at(it->second).aborted = true;
    }
  }
  for (RequestId id : ids) Cancel(id);
  return static_cast<int>(ids.size());
}

void TextDoor::Tokenize(std::string text, bool special,
                        std::function<void(absl::StatusOr<std::vector<int32_t>>)> done) {
  Impl* impl = impl_.get();
  auto work = [impl, text = std::move(text), special, done](Time) {
    const absl::Status may = NeedText(*impl->model, "text");
    done(may.ok() ? impl->model->Tokenize(text, special) : may);
  };
  const absl::Status posted = impl->PostAside(NewRequestId(), std::move(work));
  if (!posted.ok()) done(posted);
}

void TextDoor::Detokenize(std::vector<int32_t> ids, bool special,
                          std::function<void(absl::StatusOr<std::string>)> done) {
  Impl* impl = impl_.get();
  auto work = [impl, ids = std::move(ids), special, done](Time) {
    absl::Status may = NeedText(*impl->model, "text");
    if (may.ok() && ids.size() > kMaxDetokenizeIds) {
      may = absl::InvalidArgumentError(
          absl::StrCat("token_ids has ", ids.size(), " entries; at most ", kMaxDetokenizeIds));
    }
    if (may.ok()) may = ValidateIds("token_ids", ids, impl->model->vocabulary());
    if (!may.ok()) return done(may);
    done(TextOf(*impl->model, ids, special));
  };
  const absl::Status posted = impl->PostAside(NewRequestId(), std::move(work));
  if (!posted.ok()) done(posted);
}

const TextModel& TextDoor::model() const { return *impl_->model; }

size_t TextDoor::running() const {
  MutexLock lock(impl_->mutex);
  return impl_->names.size();
}

void TextDoor::Stop() {
  {
    MutexLock lock(impl_->mutex);
    if (std::exchange(impl_->stopped, true)) return;
  }
  for (auto& thread : impl_->threads) {
    thread->loop.Stop([this, &thread](Time) { impl_->EndAll(*thread); });
  }
}

}  // namespace expertmesh
