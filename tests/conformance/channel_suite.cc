#include "tests/conformance/channel_suite.h"

#include <random>

#include "common/clock.h"

namespace expertmesh {
namespace {

// Long enough for a loaded machine under a sanitizer; only a failing test waits for it.
constexpr std::chrono::seconds kPatience{60};

}  // namespace

void Recorder::Enter(const char* what, ChannelId channel) {
  MutexLock lock(mutex_);
  EXPECT_FALSE(forbidden_) << what << " after Stop";
  EXPECT_TRUE(inside_.insert(channel).second) << what << " while another callback runs";
  EXPECT_EQ(closed_.count(channel), 0u) << what << " after OnClosed";
}

void Recorder::Leave(ChannelId channel) {
  {
    MutexLock lock(mutex_);
    inside_.erase(channel);
  }
  changed_.notify_all();
}

absl::Status Recorder::Judge(const Hello& peer) { return judge ? judge(peer) : absl::OkStatus(); }

void Recorder::OnOpened(std::shared_ptr<Channel> channel, const Hello& peer) {
  const ChannelId id = channel->id();
  Enter("OnOpened", id);
  {
    MutexLock lock(mutex_);
    for (const Opened& before : opened_) EXPECT_NE(before.channel->id(), id) << "opened twice";
    opened_.push_back({std::move(channel), peer});
  }
  Leave(id);
}

void Recorder::OnMessage(ChannelId channel, Message message) {
  Enter("OnMessage", channel);
  {
    MutexLock lock(mutex_);
    bool known = false;
    for (const Opened& opened : opened_) known |= opened.channel->id() == channel;
    EXPECT_TRUE(known) << "a message before OnOpened";
    while (hold_) changed_.wait(lock.native());
  }
  if (on_message) on_message(channel, message);
  {
    MutexLock lock(mutex_);
    ++messages_seen_;
    if (!on_message) messages_.push_back(std::move(message));
  }
  Leave(channel);
}

void Recorder::OnClosed(ChannelId channel, absl::Status why) {
  Enter("OnClosed", channel);
  {
    MutexLock lock(mutex_);
    closed_[channel].push_back(std::move(why));
  }
  Leave(channel);
}

bool Recorder::Wait(const std::function<bool()>& done) {
  const Time deadline = Now() + kPatience;
  // The lock is the caller's: adopt it for the condition variable, and give it back.
  std::unique_lock<std::mutex> lock(mutex_.native(), std::adopt_lock);
  const bool in_time = changed_.wait_until(lock, deadline, done);
  lock.release();
  EXPECT_TRUE(in_time) << "waited in vain";
  return in_time;
}

std::shared_ptr<Channel> Recorder::WaitOpened(size_t count) {
  MutexLock lock(mutex_);
  if (!Wait([&] { return opened_.size() >= count; })) return nullptr;
  return opened_[count - 1].channel;
}

void Recorder::WaitMessages(size_t count) {
  MutexLock lock(mutex_);
  Wait([&] { return messages_seen_ >= count; });
}

std::vector<Message> Recorder::TakeMessages(size_t count) {
  MutexLock lock(mutex_);
  Wait([&] { return messages_.size() >= count; });
  return std::exchange(messages_, {});
}

absl::Status Recorder::WaitClosed(ChannelId channel) {
  MutexLock lock(mutex_);
  if (!Wait([&] { return closed_.count(channel) != 0; })) return absl::UnknownError("not closed");
  return closed_[channel].front();
}

std::vector<Recorder::Opened> Recorder::opened() const {
  MutexLock lock(mutex_);
  return opened_;
}

size_t Recorder::closed_count(ChannelId channel) const {
  MutexLock lock(mutex_);
  auto closed = closed_.find(channel);
  return closed == closed_.end() ? 0 : closed->second.size();
}

size_t Recorder::messages_seen() const {
  MutexLock lock(mutex_);
  return messages_seen_;
}

void Recorder::ForbidCallbacks() {
  MutexLock lock(mutex_);
  forbidden_ = true;
}

void Recorder::Hold(bool hold) {
  {
    MutexLock lock(mutex_);
    hold_ = hold;
  }
  changed_.notify_all();
}

SentCallback Fates::For(size_t token) {
  return [this, token](absl::Status fate) {
    MutexLock lock(mutex_);
    EXPECT_TRUE(fates_.emplace(token, fate).second) << "message " << token << " has two fates";
    changed_.notify_all();  // under the lock: whoever waits may destroy us right after
  };
}

SentCallback Fates::For(size_t token, const Recorder& owner, ChannelId channel) {
  return [tell = For(token), owner = &owner, channel](absl::Status fate) {
    EXPECT_EQ(owner->closed_count(channel), 0u) << "`sent` after OnClosed";
    tell(std::move(fate));
  };
}

void Fates::WaitAll(size_t count) {
  MutexLock lock(mutex_);
  const bool in_time =
      changed_.wait_until(lock.native(), Now() + kPatience, [&] { return fates_.size() >= count; });
  EXPECT_TRUE(in_time) << fates_.size() << " of " << count << " fates";
  EXPECT_EQ(fates_.size(), count);
}

absl::Status Fates::Of(size_t token) const {
  MutexLock lock(mutex_);
  auto fate = fates_.find(token);
  return fate == fates_.end() ? absl::NotFoundError("no fate yet") : fate->second;
}

bool Fates::Has(size_t token) const {
  MutexLock lock(mutex_);
  return fates_.count(token) != 0;
}

size_t Fates::count() const {
  MutexLock lock(mutex_);
  return fates_.size();
}

Matrix::Matrix(uint32_t rows_of, uint32_t elements_of, uint64_t seed)
    : rows(rows_of), elements(elements_of), bytes(size_t{rows_of} * elements_of * 4) {
  std::mt19937_64 random(seed);
  for (size_t i = 0; i + 4 <= bytes.size(); i += 4) {
    const uint32_t word = static_cast<uint32_t>(random());
    std::memcpy(bytes.data() + i, &word, 4);
  }
}

MessageHeader DispatchOf(const Matrix& matrix, uint64_t sequence) {
  MessageHeader header;
  header.kind = MessageKind::kDispatch;
  header.lane = Lane::kDecode;
  header.call = {{1, 2}, sequence};
  header.epoch = {1, 1};
  header.layer = 3;
  header.rows = matrix.rows;
  header.row_elements = matrix.rows == 0 ? 0 : matrix.elements;
  return header;
}

Hello HelloOf(const std::string& name, WorkerRole role) {
  Hello hello;
  hello.name = name;
  hello.role = role;
  hello.incarnation = {7, static_cast<uint64_t>(name.back() - '0') + 1};
  hello.model = {0x1111, 0x2222};
  hello.compute_class = {"cpu-f32", 0x3333};
  hello.hidden = 64;
  return hello;
}

PeerExpectation ExpectationOf(const Hello& hello) {
  return {hello.name, hello.role, hello.incarnation, hello.compute_class};
}

ChannelConformance::ChannelConformance()
    : fleet_(GetParam().make()),
      a0_(Add("a0", WorkerRole::kAttention)),
      e0_(Add("e0", WorkerRole::kExpert)) {}

ChannelConformance::~ChannelConformance() {
  // Whatever a test left held must not keep its transport from stopping.
  for (auto& [name, worker] : workers_) worker->recorder.Hold(false);
  fleet_.reset();
  for (auto& [name, worker] : workers_) {
    for (const Recorder::Opened& opened : worker->recorder.opened()) {
      EXPECT_EQ(worker->recorder.closed_count(opened.channel->id()), 1u)
          << name << " was told of a channel's opening, and not once of its end";
    }
  }
}

ChannelConformance::Worker& ChannelConformance::Add(const std::string& name, WorkerRole role,
                                                    bool with_hello) {
  std::unique_ptr<Worker>& worker = workers_[name];
  worker = std::make_unique<Worker>();
  worker->hello = HelloOf(name, role);
  worker->transport = &fleet_->Add(name, &worker->recorder);
  if (with_hello) worker->transport->SetHello(worker->hello);
  return *worker;
}

std::shared_ptr<Channel> ChannelConformance::Open(Worker& from, Worker& to) {
  return from.transport->Open(fleet_->Address(to.hello.name), ExpectationOf(to.hello));
}

void ChannelConformance::Connect() {
  a_ = Open(a0_, e0_);
  e_ = e0_.recorder.WaitOpened();
  ASSERT_EQ(a0_.recorder.WaitOpened(), a_);
  ASSERT_NE(e_, nullptr);
}

}  // namespace expertmesh
