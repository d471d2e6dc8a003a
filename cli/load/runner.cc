#include "cli/load/runner.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/load/arrivals.h"

namespace expertmesh {
namespace {

constexpr auto kTick = Milliseconds(200);
// Of a closed loop's caller: a server that refuses at once is not asked in a hot loop.
constexpr auto kPauseAfterFailure = Milliseconds(20);

}  // namespace

Runner::Runner(LoadTarget target, RunOptions options, OnTick on_tick)
    : target_(std::move(target)),
      options_(std::move(options)),
      on_tick_(std::move(on_tick)),
      next_conversation_(options_.first_conversation) {}

RunResult Runner::Run() {
  {
    WorkerPool pool(options_.level.open ? options_.max_in_flight
                                        : static_cast<int>(options_.level.value));
    options_.level.open ? RunOpen(pool) : RunClosed(pool);
    WaitUntil(kNever, Wait::kForDrain);
  }
  MutexLock lock(mutex_);
  Time ended = start_;
  for (const RequestRecord& record : result_.records) ended = std::max(ended, record.ended);
  result_.level = options_.level;
  result_.duration = ended - start_;
  return std::move(result_);
}

void Runner::RunOpen(WorkerPool& pool) {
  PoissonArrivals arrivals(options_.level.value / options_.work.turns, options_.work.seed);
  for (;;) {
    const Time due = start_ + arrivals.Next();
    const std::optional<Job> job = Claim(due);
    if (!job.has_value()) return;
    WaitUntil(due, Wait::kForArrival);
    {
      MutexLock lock(mutex_);
      if (result_.interrupted) return;
    }
    OnJob(+1);
    const bool started = pool.Start([this, job = *job, due] {
      Converse(job, due);
      OnJob(-1);
    });
    if (started) continue;
    OnJob(-1);
    AddNotSent(job->turns);
  }
}

void Runner::RunClosed(WorkerPool& pool) {
  for (int i = 0; i < static_cast<int>(options_.level.value); ++i) {
    OnJob(+1);
    pool.Start([this] {
      while (const std::optional<Job> job = Claim(Now())) {
        if (!Converse(*job, std::nullopt)) std::this_thread::sleep_for(kPauseAfterFailure);
      }
      OnJob(-1);
    });
  }
}

bool Runner::MayBegin(Time when) const {
  const bool in_time = options_.time == Duration(0) || when < start_ + options_.time;
  return in_time && !result_.interrupted;
}

std::optional<Runner::Job> Runner::Claim(Time when) {
  MutexLock lock(mutex_);
  const int64_t left = options_.requests == 0 ? options_.work.turns : options_.requests - claimed_;
  if (left <= 0 || !MayBegin(when)) return std::nullopt;
  const int turns = static_cast<int>(std::min<int64_t>(options_.work.turns, left));
  claimed_ += turns;
  return Job{next_conversation_++, turns};
}

bool Runner::Converse(const Job& job, std::optional<Time> due) {
  Conversation conversation(options_.work, job.conversation);
  std::vector<int32_t> answer;
  for (int turn = 0; turn < job.turns; ++turn) {
    const UserRequest request =
        RequestOf(conversation.Next(answer), absl::StrCat(job.conversation, ".", turn));
    {
      MutexLock lock(mutex_);
      if (turn == 0 ? result_.interrupted : !MayBegin(Now())) return true;
      ++progress_.begun;
    }
    answer.clear();
    RequestRecord record = Ask(request, due, answer);
    if (due.has_value()) due = record.ended;
    const bool ok = record.status.ok();
    {
      MutexLock lock(mutex_);
      ++progress_.ended;
      progress_.failed += ok ? 0 : 1;
      result_.records.push_back(std::move(record));
    }
    if (ok) continue;
    AddNotSent(job.turns - turn - 1);
    return false;
  }
  return true;
}

RequestRecord Runner::Ask(const UserRequest& request, std::optional<Time> due,
                          std::vector<int32_t>& answer) {
  RequestRecord record;
  record.sent = Now();
  record.scheduled = due.value_or(record.sent);
  UserRequest timed = request;
  if (options_.shape.timeout > Duration(0)) timed.deadline = record.sent + options_.shape.timeout;
  record.status = target_.generate(timed, [&](const Delta& delta) {
    const Time now = Now();
    if (delta.opening.has_value()) record.prompt_tokens = delta.opening->prompt_tokens;
    for (const OutputToken& token : delta.tokens) {
      record.tokens.push_back(now);
      answer.push_back(token.id);
    }
    if (delta.finish != FinishReason::kNone) record.cached_tokens = delta.usage.cached_tokens;
  });
  record.ended = Now();
  return record;
}

UserRequest Runner::RequestOf(Turn turn, const std::string& name) const {
  const RequestShape& shape = options_.shape;
  UserRequest request;
  request.prompt = std::move(turn.prompt);
  request.max_tokens = turn.output_tokens;
  request.ignore_eos = true;
  request.priority = shape.priority;
  request.cache_salt =
      shape.distinct_salts ? absl::StrCat(shape.cache_salt, "/", name) : shape.cache_salt;
  request.sampling.temperature = shape.temperature;
  request.sampling.seed = options_.work.seed;
  return request;
}

void Runner::AddNotSent(int count) {
  MutexLock lock(mutex_);
  progress_.not_sent += count;
  result_.not_sent += count;
}

void Runner::OnJob(int change) {
  MutexLock lock(mutex_);
  running_ += change;
  if (running_ == 0) changed_.notify_all();
}

void Runner::Interrupt() {
  {
    MutexLock lock(mutex_);
    result_.interrupted = true;
  }
  changed_.notify_all();
  target_.cancel_running();
}

RunProgress Runner::Progress() const {
  MutexLock lock(mutex_);
  RunProgress progress = progress_;
  progress.elapsed = Now() - start_;
  return progress;
}

void Runner::WaitUntil(Time until, Wait wait) {
  for (;;) {
    bool interrupted = false;
    {
      MutexLock lock(mutex_);
      const Time now = Now();
      interrupted = result_.interrupted;
      if (wait == Wait::kForDrain ? running_ == 0 : interrupted || now >= until) return;
      changed_.wait_until(lock.native(), std::min(until, now + kTick));
    }
    // A call that was being made while the interruption cancelled all others is found here.
    if (interrupted) target_.cancel_running();
    on_tick_(Progress());
  }
}

}  // namespace expertmesh
