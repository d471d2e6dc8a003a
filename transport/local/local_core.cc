#include "transport/local/local_core.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/log.h"
#include "common/status.h"

namespace expertmesh {
namespace {

class LocalChannel final : public Channel {
 public:
  LocalChannel(std::shared_ptr<LocalPipe> pipe, int side, ChannelId id, std::string who)
      : pipe_(std::move(pipe)), side_(side), id_(id), who_(std::move(who)) {}

  ChannelId id() const override { return id_; }
  const std::string& who() const { return who_; }

  absl::Status Send(const MessageHeader& header, const Body& body, Event ready,
                    SentCallback sent) override {
    return pipe_->Send(side_, Outgoing(header, body, std::move(sent)), ready);
  }

  void Close(absl::Status why) override {
    const absl::Status for_peer =
        absl::UnavailableError(absl::StrCat("closed by peer: ", who_, ": ", why.message()));
    pipe_->Close(side_, why, for_peer);
  }

 private:
  const std::shared_ptr<LocalPipe> pipe_;
  const int side_;
  const ChannelId id_;
  const std::string who_;  // whose end this is
};

}  // namespace

LocalCore::LocalCore(std::string address, Endpoint* endpoint)
    : address_(std::move(address)),
      endpoint_(endpoint),
      gate_(ReadyGate::Make([this](uint64_t token) { inbox_.Post(Passed{token}); })) {}

void LocalCore::Start() {
  thread_ = std::thread([this] { Main(); });
}

void LocalCore::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  inbox_.Post(Stopped{});
  thread_.join();
  gate_->Detach();
  inbox_.Close();
}

void LocalCore::Main() {
  std::vector<News> news;
  while (!stopped_ || !entries_.empty()) {
    inbox_.Drain(kNever, news);
    for (News& one : news) std::visit([this](auto& item) { Handle(item); }, one);
  }
}

std::optional<Hello> LocalCore::hello() const {
  MutexLock lock(mutex_);
  return hello_;
}

void LocalCore::SetHello(const Hello& mine) {
  MutexLock lock(mutex_);
  hello_ = mine;
}

std::string LocalCore::Who() const {
  const std::optional<Hello> mine = hello();
  return mine.has_value() ? Describe(*mine) : absl::StrCat("the worker at ", address_);
}

bool LocalCore::Dial(std::shared_ptr<LocalPipe> pipe, const Hello& hello) {
  MutexLock lock(mutex_);
  return !stopping_ && inbox_.Post(Dialled{std::move(pipe), hello});
}

std::shared_ptr<Channel> LocalCore::Open(const std::shared_ptr<LocalCore>& target,
                                         absl::string_view address,
                                         const PeerExpectation& expected) {
  auto pipe = std::make_shared<LocalPipe>();
  const ChannelId id = next_id_.fetch_add(1);
  auto channel = std::make_shared<LocalChannel>(pipe, LocalPipe::kDialler, id, Who());
  Hello mine;
  {
    MutexLock lock(mutex_);
    CHECK(hello_.has_value(), "SetHello comes before the first Open");
    mine = *hello_;
    if (stopping_) {
      pipe->Close(LocalPipe::kDialler, absl::CancelledError("transport stopped"), {});
      return channel;
    }
    pipe->Bind(LocalPipe::kDialler, shared_from_this(), id, channel->who());
    inbox_.Post(Dialling{id, channel, pipe, expected});
  }
  if (target == nullptr || !target->Dial(pipe, mine)) {
    pipe->Close(LocalPipe::kDialler, absl::UnavailableError(absl::StrCat("nobody is at ", address)),
                {});
  }
  return channel;
}

void LocalCore::Handle(Dialling& news) {
  entries_[news.id] = {std::move(news.channel), std::move(news.pipe), LocalPipe::kDialler,
                       std::move(news.expected)};
}

absl::Status LocalCore::JudgeDialler(const Hello& theirs) {
  const std::optional<Hello> mine = hello();
  if (!mine.has_value()) return absl::UnavailableError(absl::StrCat(address_, " is not ready yet"));
  RETURN_IF_ERROR(CheckCompatible(*mine, theirs));
  return endpoint_->Judge(theirs);
}

void LocalCore::Handle(Dialled& news) {
  if (absl::Status verdict = JudgeDialler(news.hello); !verdict.ok()) {
    LogWarning("refused a channel from ", Describe(news.hello), ": ", verdict.message());
    news.pipe->Close(LocalPipe::kDialler, Annotate(verdict, "refused by peer"), {});
    return;
  }
  const ChannelId id = next_id_.fetch_add(1);
  if (!news.pipe->Accept(shared_from_this(), id, *hello())) return;
  auto channel = std::make_shared<LocalChannel>(news.pipe, LocalPipe::kAcceptor, id, Who());
  entries_[id] = {channel, news.pipe, LocalPipe::kAcceptor, {}};
  endpoint_->OnOpened(std::move(channel), news.hello);
}

void LocalCore::Handle(Answered& news) {
  const Entry& entry = entries_.at(news.id);  // "closed" comes after it
  absl::Status verdict = CheckCompatible(*hello(), news.hello);
  if (verdict.ok()) verdict = CheckExpected(entry.expected, news.hello);
  if (!verdict.ok()) {
    entry.pipe->Close(LocalPipe::kDialler, verdict, Annotate(verdict, "refused by peer"));
    return;
  }
  if (entry.pipe->Confirm()) endpoint_->OnOpened(entry.channel, news.hello);
}

void LocalCore::Handle(Arrived& news) {
  const Entry& entry = entries_.at(news.id);
  endpoint_->OnMessage(news.id, std::move(news.message));
  entry.pipe->Taken(entry.side);
}

void LocalCore::Handle(Waiting& news) { deferred_[news.token] = {news.id, std::move(news.out)}; }

void LocalCore::Handle(Passed& news) {
  auto waiting = deferred_.find(news.token);
  if (waiting == deferred_.end()) return;  // its channel is closed
  Deferred deferred = std::move(waiting->second);
  deferred_.erase(waiting);
  const Entry& entry = entries_.at(deferred.id);
  const bool delivered = entry.pipe->Deliver(entry.side, deferred.out).ok();
  deferred.out.Finish(delivered ? absl::OkStatus() : absl::CancelledError("channel closed"));
}

void LocalCore::Handle(Closed& news) {
  for (auto it = deferred_.begin(); it != deferred_.end();) {
    if (it->second.id != news.id) {
      ++it;
      continue;
    }
    it->second.out.Finish(absl::CancelledError("channel closed"));
    it = deferred_.erase(it);
  }
  entries_.erase(news.id);
  endpoint_->OnClosed(news.id, std::move(news.why));
}

void LocalCore::Handle(Stopped&) {
  stopped_ = true;
  const absl::Status for_peer =
      absl::UnavailableError(absl::StrCat("closed by peer: ", Who(), ": its transport stopped"));
  for (auto& [id, entry] : entries_) {
    entry.pipe->Close(entry.side, absl::CancelledError("transport stopped"), for_peer);
  }
}

}  // namespace expertmesh
