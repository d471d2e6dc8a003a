#include "coordinator/front_door/front_door.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// What one client gets.
class Client final : public GenerationListener {
 public:
  void OnDelta(RequestId id, Delta delta) override {
    EXPECT_THAT(ends, IsEmpty()) << "nothing comes after the end";
    for (const OutputToken& token : delta.tokens) tokens.push_back(token.id);
  }
  void OnEnd(RequestId id, absl::Status status) override { ends.push_back(std::move(status)); }

  std::vector<int32_t> tokens;
  std::vector<absl::Status> ends;
};

class FrontDoorTest : public testing::Test, private GenerationListener {
 protected:
  // A port that writes down what it is asked; what it answers, the test says.
  class Port final : public AttentionPort {
   public:
    Port(FrontDoorTest* test, std::string name) : test_(test), name_(std::move(name)) {
      test_->ports_.insert(name_);
      test_->made_.push_back(name_);
    }
    ~Port() override { test_->ports_.erase(name_); }
    void Start(RequestId id, GenerateRequest request, GenerationListener* listener) override {
      test_->started_.push_back(absl::StrCat(name_, " ", id, " ", request.request_id));
      test_->requests_.push_back(request);
      if (test_->end_at_once_) listener->OnEnd(id, absl::ResourceExhaustedError("full"));
    }
    void Cancel(RequestId id) override {
      test_->cancelled_.push_back(absl::StrCat(name_, " ", id));
    }

   private:
    FrontDoorTest* test_;
    std::string name_;
  };

  FrontDoorTest()
      : door_(
            [this](const Member& worker) {
              return std::make_unique<Port>(
                  this, absl::StrCat(worker.name, " ", ToString(worker.incarnation)));
            },
            this) {}

  // What ports tell.
  void OnDelta(RequestId id, Delta delta) override { door_.OnDelta(id, std::move(delta)); }
  void OnEnd(RequestId id, absl::Status status) override { door_.OnEnd(id, std::move(status)); }

  static Member Attention(const std::string& name, uint64_t number = 1,
                          WorkerState state = WorkerState::kReady) {
    Member member;
    member.name = name;
    member.role = WorkerRole::kAttention;
    member.incarnation = {1, number};
    member.state = state;
    return member;
  }

  // A fleet of these attention workers and one expert worker with experts 0 to `held` - 1 of four.
  void Publish(std::vector<Member> members, int32_t held = 4) {
    auto topology = std::make_shared<Topology>();
    topology->model.grid = {1, 1, 4};
    topology->members = std::move(members);
    Member expert;
    expert.name = "e0";
    expert.role = WorkerRole::kExpert;
    expert.state = WorkerState::kReady;
    expert.holds = ExpertSet(topology->model.grid);
    for (int32_t e = 0; e < held; ++e) expert.holds.Insert(1, e);
    topology->members.push_back(expert);
    door_.OnTopology(std::move(topology));
  }

  void Start(RequestId id, Client& client) {
    GenerateRequest request;
    request.request_id = absl::StrCat("r", id);
    door_.Start(id, request, &client);
  }
  void ExpectRefused(const Client& client, const char* text) {
    ASSERT_EQ(client.ends.size(), 1u);
    EXPECT_EQ(client.ends[0].code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(client.ends[0].message()), HasSubstr(text));
    EXPECT_TRUE(RetryAfter(client.ends[0]).has_value());
    EXPECT_THAT(started_, IsEmpty());
    EXPECT_EQ(door_.sessions(), 0u);
  }
  static Delta Token(int32_t id) {
    Delta delta;
    delta.tokens.push_back({id, 0, {}});
    return delta;
  }

  std::set<std::string> ports_;  // that live
  std::vector<std::string> made_;
  std::vector<std::string> started_;
  std::vector<GenerateRequest> requests_;  // beside started_
  std::vector<std::string> cancelled_;
  bool end_at_once_ = false;
  FrontDoor door_;
};

TEST_F(FrontDoorTest, RefusesWhenNobodyHasJoined) {
  Client client;
  Start(1, client);
  ExpectRefused(client, "no topology has been published yet");
}

TEST_F(FrontDoorTest, LetsAnAttentionWorkerWaitForWhatIsUncovered) {
  Publish({Attention("a0")}, 2);
  Client client;
  Start(1, client);
  EXPECT_THAT(client.ends, IsEmpty());
  EXPECT_THAT(started_, ElementsAre("a0 1#1 1 r1"));
}

TEST_F(FrontDoorTest, RefusesWithoutAReadyAttentionWorker) {
  Publish({Attention("a0", 1, WorkerState::kLoading), Attention("a1", 1, WorkerState::kDraining)});
  Client client;
  Start(1, client);
  ExpectRefused(client, "no attention worker is ready");
}

TEST_F(FrontDoorTest, RefusesNewRequestsWhileItDrainsAndFinishesTheOthers) {
  Publish({Attention("a0")});
  Client running, late;
  Start(1, running);
  door_.Drain();
  started_.clear();
  Start(2, late);
  ASSERT_EQ(late.ends.size(), 1u);
  EXPECT_THAT(std::string(late.ends[0].message()), HasSubstr("shutting down"));
  EXPECT_TRUE(RetryAfter(late.ends[0]).has_value());
  EXPECT_THAT(started_, IsEmpty());
  door_.OnDelta(1, Token(7));
  door_.OnEnd(1, absl::OkStatus());
  EXPECT_THAT(running.tokens, ElementsAre(7));
  EXPECT_THAT(running.ends, ElementsAre(absl::OkStatus()));
}

TEST_F(FrontDoorTest, ChoosesTheWorkerWithTheFewestSessions) {
  Publish({Attention("a0"), Attention("a1"), Attention("a2")});
  Client clients[8];
  for (RequestId id = 0; id < 6; ++id) Start(id, clients[id]);
  std::map<std::string, int> load;
  for (const std::string& start : started_) ++load[start.substr(0, 2)];
  EXPECT_THAT(load, ElementsAre(std::pair("a0", 2), std::pair("a1", 2), std::pair("a2", 2)));

  // Both sessions of one worker end: the next two are its.
  const std::string chosen = started_[1].substr(0, 2);
  for (RequestId id = 0; id < 6; ++id) {
    if (started_[id].substr(0, 2) == chosen) door_.OnEnd(id, absl::OkStatus());
  }
  started_.clear();
  Start(6, clients[6]);
  Start(7, clients[7]);
  for (const std::string& start : started_) EXPECT_EQ(start.substr(0, 2), chosen);
}

TEST_F(FrontDoorTest, PassesOnWhatComesToWhomItIsFor) {
  Publish({Attention("a0"), Attention("a1")});
  Client one, two;
  Start(1, one);
  Start(2, two);
  door_.OnDelta(2, Token(20));
  door_.OnDelta(1, Token(10));
  door_.OnDelta(2, Token(21));
  door_.OnDelta(3, Token(30));  // nobody's
  EXPECT_THAT(one.tokens, ElementsAre(10));
  EXPECT_THAT(two.tokens, ElementsAre(20, 21));
}

TEST_F(FrontDoorTest, EndsEverySessionOnce) {
  Publish({Attention("a0")});
  Client client;
  Start(1, client);
  door_.OnEnd(1, absl::InternalError("x"));
  door_.OnEnd(1, absl::OkStatus());
  door_.OnDelta(1, Token(1));
  door_.Cancel(1);
  door_.EndAll(absl::UnavailableError("stop"));
  EXPECT_THAT(client.ends, ElementsAre(absl::InternalError("x")));
  EXPECT_THAT(client.tokens, IsEmpty());
  EXPECT_THAT(cancelled_, IsEmpty());
  EXPECT_EQ(door_.sessions(), 0u);
}

TEST_F(FrontDoorTest, TakesAnEndThatComesBeforeStartHasReturned) {
  Publish({Attention("a0")});
  end_at_once_ = true;
  Client client;
  Start(1, client);
  EXPECT_THAT(client.ends, ElementsAre(absl::ResourceExhaustedError("full")));
  EXPECT_EQ(door_.sessions(), 0u);
}

TEST_F(FrontDoorTest, PassesACancelToTheWorkerThatHasTheRequest) {
  Publish({Attention("a0"), Attention("a1")});
  Client one, two;
  Start(1, one);
  Start(2, two);
  door_.Cancel(2);
  door_.Cancel(99);  // nobody's
  ASSERT_EQ(cancelled_.size(), 1u);
  EXPECT_EQ(cancelled_[0] + " r2", started_[1]);
  EXPECT_THAT(two.ends, IsEmpty()) << "the worker says when it has ended";
  door_.OnEnd(2, absl::CancelledError("by the client"));
  EXPECT_THAT(two.ends, ElementsAre(absl::CancelledError("by the client")));
}

TEST_F(FrontDoorTest, EndAllEndsEverySessionWithItsReasonAndRefusesNewOnes) {
  Publish({Attention("a0"), Attention("a1")});
  Client clients[3];
  for (RequestId id = 0; id < 3; ++id) Start(id, clients[id]);
  door_.EndAll(absl::UnavailableError("stop"));
  for (RequestId id = 0; id < 3; ++id) {
    EXPECT_THAT(clients[id].ends, ElementsAre(absl::UnavailableError("stop")));
    door_.OnEnd(id, absl::CancelledError("late"));  // what the workers say of it
    EXPECT_EQ(clients[id].ends.size(), 1u);
  }
  EXPECT_EQ(cancelled_.size(), 3u) << "workers do not go on for nobody";
  Client late;
  started_.clear();
  Start(9, late);
  ExpectRefused(late, "shutting down");
}

TEST_F(FrontDoorTest, MakesOnePortForEachLifeOfAWorker) {
  Publish({Attention("a0")});
  Publish({Attention("a0")}, 3);
  Publish({Attention("a0"), Attention("a1")});
  EXPECT_THAT(made_, ElementsAre("a0 1#1", "a1 1#1"));
  Publish({Attention("a0", 2), Attention("a1")});
  EXPECT_THAT(made_, ElementsAre("a0 1#1", "a1 1#1", "a0 1#2"));
  EXPECT_THAT(ports_, UnorderedElementsAre("a0 1#2", "a1 1#1")) << "nobody needs the older one";
}

TEST_F(FrontDoorTest, AReplacedWorkerKeepsItsPortUntilItsLastSessionEnds) {
  Publish({Attention("a0", 1)});
  Client one, two, three;
  Start(1, one);
  Start(2, two);
  Publish({Attention("a0", 2)});
  Start(3, three);
  EXPECT_EQ(started_.back(), "a0 1#2 3 r3") << "new requests go to the newer life";
  door_.OnEnd(1, absl::InternalError("its logits were no numbers"));
  EXPECT_THAT(ports_, UnorderedElementsAre("a0 1#1", "a0 1#2"));
  door_.Cancel(2);
  EXPECT_THAT(cancelled_, ElementsAre("a0 1#1 2"));
  door_.OnEnd(2, absl::CancelledError("by the client"));
  EXPECT_THAT(ports_, UnorderedElementsAre("a0 1#2"));
  EXPECT_EQ(one.ends.size() + two.ends.size(), 2u);
  EXPECT_THAT(three.ends, IsEmpty());
}

TEST_F(FrontDoorTest, AWorkerThatComesBackGoesOnWithItsPort) {
  Publish({Attention("a0")});
  Client one, two;
  Start(1, one);
  Publish({});  // it lost its link to control, not to us
  door_.OnDelta(1, Token(5));
  Start(2, two);
  ASSERT_EQ(two.ends.size(), 1u);
  EXPECT_THAT(std::string(two.ends[0].message()), HasSubstr("no attention worker is ready"));
  Publish({Attention("a0")});
  door_.OnEnd(1, absl::OkStatus());
  EXPECT_THAT(made_, ElementsAre("a0 1#1"));
  EXPECT_THAT(ports_, UnorderedElementsAre("a0 1#1"));
  EXPECT_THAT(one.tokens, ElementsAre(5));
}

TEST_F(FrontDoorTest, RunsNothingMoreForAFleetThatIsUncoveredButLetsItFinish) {
  Publish({Attention("a0")});
  Client client;
  Start(1, client);
  Publish({Attention("a0")}, 0);
  EXPECT_THAT(client.ends, IsEmpty()) << "the attention worker decides on what runs";
  door_.OnEnd(1, absl::UnavailableError("e0 is lost"));
  EXPECT_THAT(client.ends, ElementsAre(absl::UnavailableError("e0 is lost")));
}

TEST_F(FrontDoorTest, PrefersTheWorkerThatHadThePromptsBeginningWithinABound) {
  Publish({Attention("a0"), Attention("a1")});
  std::vector<Client> clients(40);
  const auto start = [&](RequestId id, int32_t first, int32_t length) {
    GenerateRequest request;
    for (int32_t i = 0; i < length; ++i) request.prompt.push_back(first + i);
    door_.Start(id, request, &clients[id]);
    return started_.back().substr(0, 2);
  };
  EXPECT_EQ(start(0, 0, 100), "a0");
  EXPECT_EQ(start(1, 500, 100), "a1") << "another prompt: the least loaded";
  for (RequestId id = 2; id < 2 + kAffinitySlack; ++id) {
    EXPECT_EQ(start(id, 0, 90), "a0") << "the same beginning";
  }
  EXPECT_EQ(start(20, 0, 90), "a0") << "as many more as may be";
  EXPECT_EQ(start(21, 0, 90), "a1") << "and no more";
  EXPECT_EQ(start(22, 500, 64), "a1");
  Publish({Attention("a0")});
  EXPECT_EQ(start(23, 500, 64), "a0") << "who had it is not there any more";
}

TEST_F(FrontDoorTest, AWorkerThatRefusesAPromptIsNotPreferredForIt) {
  Publish({Attention("a0"), Attention("a1")});
  std::vector<Client> clients(9);
  GenerateRequest request;
  request.prompt.assign(100, 7);
  door_.Start(0, request, &clients[0]);
  EXPECT_EQ(started_.back().substr(0, 2), "a0");
  door_.Start(1, GenerateRequest(), &clients[1]);  // a1 has as much to do
  door_.Start(2, request, &clients[2]);
  EXPECT_EQ(started_.back().substr(0, 2), "a0");
  OnEnd(0, absl::ResourceExhaustedError("full"));
  OnEnd(2, absl::ResourceExhaustedError("full"));
  door_.Start(3, GenerateRequest(), &clients[3]);
  door_.Start(4, GenerateRequest(), &clients[4]);
  door_.Start(5, request, &clients[5]);
  EXPECT_EQ(started_.back().substr(0, 2), "a1") << "the least loaded";
  OnDelta(5, Token(1));
  OnEnd(5, absl::ResourceExhaustedError("lost"));
  door_.Start(6, request, &clients[6]);
  EXPECT_EQ(started_.back().substr(0, 2), "a1") << "it had begun to answer";
}

// ---- attention workers that are lost in the midst of a request

class ResubmitTest : public FrontDoorTest {
 protected:
  static absl::Status Lost() { return TryAgainLater("a0 is lost"); }
};

TEST_F(ResubmitTest, GoesOnAtAnotherWorkerWithWhatThereIs) {
  Publish({Attention("a0"), Attention("a1")});
  Client client;
  GenerateRequest request;
  request.prompt = {1, 2, 3};
  request.resumed = {40};
  request.max_tokens = 9;
  request.prompt_logprobs = true;
  door_.Start(1, request, &client);
  Delta first = Token(50);
  first.prompt_logprobs = {-1, -2};
  door_.OnDelta(1, first);
  door_.OnDelta(1, Token(51));
  door_.OnEnd(1, Lost());
  EXPECT_THAT(client.ends, IsEmpty());
  ASSERT_EQ(requests_.size(), 2u);
  EXPECT_EQ(started_[1].substr(0, 2), "a1");
  EXPECT_EQ(requests_[1].prompt, request.prompt);
  EXPECT_THAT(requests_[1].resumed, ElementsAre(40, 50, 51));
  EXPECT_EQ(requests_[1].max_tokens, 9);
  EXPECT_FALSE(requests_[1].prompt_logprobs) << "they have come";
  door_.OnDelta(1, Token(52));
  door_.OnEnd(1, absl::OkStatus());
  EXPECT_THAT(client.tokens, ElementsAre(50, 51, 52)) << "no gap, nothing twice";
  EXPECT_THAT(client.ends, ElementsAre(absl::OkStatus()));
  EXPECT_EQ(door_.sessions(), 0u);
}

TEST_F(ResubmitTest, IsNoUseWhereNobodyElseIsReadyOrKnowsBetter) {
  Client alone, uncovered, foreign;
  Publish({Attention("a0"), Attention("a1", 1, WorkerState::kDraining)});
  Start(1, alone);
  door_.OnEnd(1, Lost());
  EXPECT_THAT(alone.ends, ElementsAre(Lost()));
  Publish({Attention("a0"), Attention("a1")});
  Start(2, uncovered);
  door_.OnEnd(2, TryAgainAnywhere("uncovered: all"));
  EXPECT_THAT(uncovered.ends, ElementsAre(TryAgainLater("uncovered: all"))) << "for clients";
  Member other = Attention("a1");
  other.compute_class = {"cpu-amx-bf16", 3};
  Publish({Attention("a0"), other});
  Start(3, foreign);
  door_.OnEnd(3, Lost());
  EXPECT_THAT(foreign.ends, ElementsAre(Lost())) << "it would go on with other bits";
}

TEST_F(ResubmitTest, AsksTheNextOneWhereTheFirstIsFull) {
  Publish({Attention("a0"), Attention("a1"), Attention("a2")});
  Client client, refused;
  Start(1, client);
  door_.OnDelta(1, Token(5));
  door_.OnEnd(1, Lost());
  door_.OnEnd(1, absl::ResourceExhaustedError("full"));
  EXPECT_THAT(client.ends, IsEmpty());
  EXPECT_EQ(started_.size(), 3u);
  Start(2, refused);
  door_.OnEnd(2, absl::ResourceExhaustedError("full"));
  EXPECT_EQ(refused.ends.size(), 1u) << "a new request is told";
}

TEST_F(ResubmitTest, IsNotForOtherErrorsNorAfterTheEndOrACancel) {
  Publish({Attention("a0"), Attention("a1")});
  Client internal, finished, cancelled, values;
  Start(1, internal);
  door_.OnEnd(1, absl::InternalError("x"));
  EXPECT_EQ(internal.ends.size(), 1u);
  Start(2, finished);
  Delta last = Token(7);
  last.finish = FinishReason::kLength;
  door_.OnDelta(2, last);
  door_.OnEnd(2, Lost());
  EXPECT_EQ(finished.ends.size(), 1u);
  Start(3, cancelled);
  door_.Cancel(3);
  door_.OnEnd(3, Lost());
  EXPECT_EQ(cancelled.ends.size(), 1u);
  Start(4, values);
  Delta some;
  some.values = {1, 2};
  door_.OnDelta(4, some);
  door_.OnEnd(4, Lost());
  EXPECT_EQ(values.ends.size(), 1u) << "its values would come again";
  EXPECT_EQ(started_.size(), 4u);
}

TEST_F(ResubmitTest, HasABound) {
  Publish({Attention("a0"), Attention("a1")});
  Client client;
  Start(1, client);
  for (int i = 0; i < kMostResubmissions; ++i) {
    EXPECT_THAT(client.ends, IsEmpty());
    door_.OnEnd(1, Lost());
  }
  EXPECT_THAT(client.ends, IsEmpty());
  door_.OnEnd(1, Lost());
  EXPECT_EQ(client.ends.size(), 1u);
  EXPECT_EQ(started_.size(), kMostResubmissions + 1u);
}

}  // namespace
}  // namespace expertmesh
