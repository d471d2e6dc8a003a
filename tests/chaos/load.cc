#include "tests/chaos/load.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh::chaos {
namespace {

std::vector<int32_t> DrawPrompt(std::mt19937& random, int length, int32_t vocabulary) {
  std::vector<int32_t> prompt(length);
  for (int32_t& id : prompt) id = static_cast<int32_t>(random() % vocabulary);
  return prompt;
}

void AskToDraw(UserSampling& sampling, std::mt19937& random) {
  sampling.temperature = 0.5f + static_cast<float>(random() % 4) / 4;
  sampling.seed = random();
  if (random() % 2 == 0) sampling.top_p = 0.9f;
  if (random() % 2 == 0) sampling.top_k = 40;
  if (random() % 3 == 0) sampling.repetition_penalty = 1.25f;
  if (random() % 3 == 0) sampling.presence_penalty = 0.5f;
}

// The first place where they differ, for people.
std::string Difference(const Bits& got, const Bits& wanted) {
  const size_t ids =
      std::mismatch(got.ids.begin(), got.ids.end(), wanted.ids.begin(), wanted.ids.end()).first -
      got.ids.begin();
  if (got.ids != wanted.ids) {
    return absl::StrCat("ids differ from token ", ids, " on; ", got.ids.size(), " tokens, not ",
                        wanted.ids.size());
  }
  const size_t bits = std::mismatch(got.logprobs.begin(), got.logprobs.end(),
                                    wanted.logprobs.begin(), wanted.logprobs.end())
                          .first -
                      got.logprobs.begin();
  return absl::StrCat("logprobs differ from value ", bits, " on; ", got.logprobs.size(),
                      " values, not ", wanted.logprobs.size());
}

}  // namespace

std::vector<Question> DrawQuestions(int count, uint32_t seed, int32_t vocabulary) {
  std::mt19937 random(seed);
  std::vector<Question> questions(count);
  for (int i = 0; i < count; ++i) {
    UserRequest& request = questions[i].request;
    request.prompt = DrawPrompt(random, 1 + random() % (i % 4 == 0 ? 300 : 40), vocabulary);
    request.max_tokens = 16 + random() % (i % 3 == 0 ? 500 : 120);
    request.ignore_eos = request.logprobs = true;
    request.top_logprobs = i % 3;
    request.prompt_logprobs = i % 4 == 1;
    if (i % 2 == 1) AskToDraw(request.sampling, random);
  }
  return questions;
}

std::vector<Question> EqualQuestions(int count, int tokens, int32_t vocabulary) {
  std::mt19937 random(1);
  std::vector<Question> questions(count);
  for (int i = 0; i < count; ++i) {
    UserRequest& request = questions[i].request;
    request.prompt = DrawPrompt(random, 8, vocabulary);
    request.max_tokens = tokens;
    request.ignore_eos = request.logprobs = true;
    if (i % 2 == 1) AskToDraw(request.sampling, random);
  }
  return questions;
}

absl::Status AnswerQuietly(const std::string& address, int streams,
                           std::vector<Question>& questions) {
  std::atomic<size_t> next = 0;
  Mutex mutex;
  absl::Status first;
  std::vector<std::thread> threads;
  for (int i = 0; i < streams; ++i) {
    threads.emplace_back([&] {
      Client client(address);
      client.most_resumes = 0;
      for (size_t q; (q = next++) < questions.size();) {
        Bits bits;
        const absl::Status status =
            client.Generate(questions[q].request, [&](const Delta& delta) { AddTo(bits, delta); });
        questions[q].answer = std::move(bits);
        MutexLock lock(mutex);
        if (first.ok() && !status.ok()) first = Annotate(status, absl::StrCat("question ", q));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return first;
}

Load::Load(LoadOptions options, const std::vector<Question>* questions)
    : options_(std::move(options)), questions_(*questions), start_(Now()) {
  for (int i = 0; i < options_.streams; ++i) {
    threads_.emplace_back([this, i] { RunStream(i); });
  }
}

Load::~Load() { Finish(); }

LoadResult Load::Finish() {
  over_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  MutexLock lock(mutex_);
  std::sort(result_.gaps_ms.begin(), result_.gaps_ms.end());
  result_.tokens = tokens_;
  return result_;
}

double Load::Seconds() const { return std::chrono::duration<double>(Now() - start_).count(); }

void Load::RunStream(int stream) {
  Client client(options_.address);
  client.most_resumes = options_.most_resumes;
  size_t question = stream;
  do {
    AskOne(client, stream, question % questions_.size());
    question += options_.streams;
  } while (options_.repeat && !over_);
}

void Load::AskOne(Client& client, int stream, size_t question) {
  Bits bits;
  std::vector<Gap> gaps;
  UserRequest request = questions_[question].request;
  request.deadline = Now() + options_.patience;
  const absl::Status status = AskUntilBegun(client, request, bits, gaps);
  const double now_s = Seconds();
  MutexLock lock(mutex_);
  for (const Gap& gap : gaps) {
    result_.gaps_ms.push_back(gap.ms);
    if (gap.ms > result_.longest.ms) result_.longest = gap;
  }
  if (!status.ok()) {
    result_.failed.push_back(
        {now_s, stream, question,
         absl::StrCat("after ", bits.ids.size(), " tokens: ", status.ToString())});
  } else if (bits != questions_[question].answer) {
    result_.mismatched.push_back(
        {now_s, stream, question, Difference(bits, questions_[question].answer)});
  } else {
    ++result_.answers;
  }
}

absl::Status Load::AskUntilBegun(Client& client, const UserRequest& request, Bits& bits,
                                 std::vector<Gap>& gaps) {
  for (;;) {
    bool begun = false;
    Time last{};
    const absl::Status status = client.Generate(request, [&](const Delta& delta) {
      begun = true;
      AddTo(bits, delta);
      if (delta.tokens.empty()) return;
      const Time now = Now();
      if (last != Time{}) {
        gaps.push_back({std::chrono::duration<float, std::milli>(now - last).count(), Seconds()});
      }
      last = now;
      tokens_ += static_cast<int64_t>(delta.tokens.size());
    });
    const auto pause = RetryAfter(status).value_or(kRetryHint);
    if (status.ok() || begun || !options_.ask_again || !absl::IsUnavailable(status) ||
        Now() + pause >= request.deadline) {
      return status;
    }
    {
      MutexLock lock(mutex_);
      ++result_.refused;
    }
    std::this_thread::sleep_for(pause);
  }
}

float Percentile(const std::vector<float>& ascending, double percent) {
  if (ascending.empty()) return 0;
  const auto rank = static_cast<size_t>(std::ceil(percent / 100 * ascending.size()));
  return ascending[std::min(ascending.size() - 1, rank == 0 ? 0 : rank - 1)];
}

}  // namespace expertmesh::chaos
