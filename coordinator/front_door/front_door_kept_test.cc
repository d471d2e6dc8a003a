// Answers that are to be kept, as the front door sees them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/front_door/front_door.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;

class KeptTest : public testing::Test, private GenerationListener {
 protected:
  // A port that writes down what it is asked.
  class Port final : public AttentionPort {
   public:
    Port(KeptTest* test, std::string name) : test_(test), name_(std::move(name)) {}
    void Start(RequestId id, GenerateRequest, GenerationListener*) override {
      test_->started_.push_back(absl::StrCat(name_, " ", id));
    }
    void Cancel(RequestId id) override {
      test_->cancelled_.push_back(absl::StrCat(name_, " ", id));
    }
    void Detach(RequestId id) override { test_->detached_.push_back(absl::StrCat(name_, " ", id)); }
    void Forget(const KeptAnswer& kept) override {
      test_->forgotten_.push_back(absl::StrCat(name_, " ", kept.key.low));
    }

   private:
    KeptTest* test_;
    std::string name_;
  };
  // Notes who is said to have the answer.
  class Client final : public ::expertmesh::GenerationListener {
   public:
    void OnDelta(RequestId, Delta delta) override {
      if (delta.kept.has_value()) kept.push_back(*delta.kept);
    }
    void OnEnd(RequestId, absl::Status status) override { ends.push_back(std::move(status)); }
    std::vector<KeptAnswer> kept;
    std::vector<absl::Status> ends;
  };

  static Member Attention(const std::string& name, uint64_t number = 1) {
    Member member;
    member.name = name;
    member.role = WorkerRole::kAttention;
    member.incarnation = {1, number};
    member.state = WorkerState::kReady;
    return member;
  }
  void Publish(std::vector<Member> members) {
    auto topology = std::make_shared<Topology>();
    topology->members = std::move(members);
    door_.OnTopology(std::move(topology));
  }
  void OnDelta(RequestId id, Delta delta) override { door_.OnDelta(id, std::move(delta)); }
  void OnEnd(RequestId id, absl::Status status) override { door_.OnEnd(id, std::move(status)); }
  static Delta Token(int32_t id) {
    Delta delta;
    delta.tokens.push_back({id, 0, {}});
    return delta;
  }
  void StartKept(RequestId id, KeptAnswer kept) {
    GenerateRequest request;
    request.kept = std::move(kept);
    door_.Start(id, request, &client_);
  }
  static KeptAnswer At(const std::string& worker, uint64_t number = 1) {
    return {{0, 7}, worker, {1, number}};
  }

  Client client_;
  std::vector<std::string> started_, cancelled_, detached_, forgotten_;
  FrontDoor door_{[this](const Member& worker) {
                    return std::make_unique<Port>(
                        this, absl::StrCat(worker.name, " ", ToString(worker.incarnation)));
                  },
                  this};
};

TEST_F(KeptTest, TheFirstDeltaOfEachWorkerTellsWhoHasIt) {
  Publish({Attention("a0"), Attention("a1")});
  StartKept(1, At("", 0));
  OnDelta(1, Token(5));
  OnDelta(1, Token(6));
  EXPECT_THAT(client_.kept, ElementsAre(At("a0")));
  OnEnd(1, TryAgainLater("a0 is lost"));
  OnDelta(1, Token(7));
  OnDelta(1, Token(8));
  EXPECT_THAT(client_.kept, ElementsAre(At("a0"), At("a1")));
}

TEST_F(KeptTest, WhoAsksForItAgainComesToWhoeverHasIt) {
  Publish({Attention("a0"), Attention("a1", 2)});
  StartKept(1, At("a1", 2));
  StartKept(2, At("a1", 2));
  StartKept(3, At("a1", 1));  // a life that is over
  StartKept(4, At("a9"));
  ASSERT_EQ(started_.size(), 4u);
  EXPECT_EQ(started_[0].substr(0, 6), "a1 1#2");
  EXPECT_EQ(started_[1].substr(0, 6), "a1 1#2");
  EXPECT_EQ(started_[2].substr(0, 2), "a0") << "the least loaded";
  EXPECT_EQ(started_[3].substr(0, 2), "a0");
}

TEST_F(KeptTest, DetachIsPassedOnAndIsNoReasonToGoOnElsewhere) {
  Publish({Attention("a0"), Attention("a1")});
  StartKept(1, At("", 0));
  OnDelta(1, Token(5));
  door_.Detach(1);
  door_.Detach(2);
  EXPECT_THAT(detached_, ElementsAre("a0 1#1 1"));
  OnEnd(1, TryAgainLater("a0 is lost"));
  EXPECT_EQ(started_.size(), 1u);
  EXPECT_EQ(client_.ends.size(), 1u);
}

TEST_F(KeptTest, AnAnswerWhoseKeyNobodyKnowsIsNotKept) {
  Publish({Attention("a0")});
  StartKept(1, At("", 0));
  door_.Detach(1);
  EXPECT_THAT(cancelled_, ElementsAre("a0 1#1 1"));
  EXPECT_THAT(detached_, ElementsAre());
}

TEST_F(KeptTest, AFrontDoorThatStopsLeavesAnswersKept) {
  Publish({Attention("a0")});
  StartKept(1, At("", 0));
  OnDelta(1, Token(5));
  door_.EndAll(TryAgainLater("it stops"));
  EXPECT_THAT(detached_, ElementsAre("a0 1#1 1"));
  EXPECT_THAT(cancelled_, ElementsAre());
}

TEST_F(KeptTest, ForgetCancelsWhatRunsHereAndIsPassedOnElse) {
  Publish({Attention("a0"), Attention("a1")});
  StartKept(1, At("", 0));
  StartKept(2, At("a1"));  // over another connection, which broke unnoticed
  door_.Forget(At("a0"));
  EXPECT_THAT(cancelled_, ElementsAre("a0 1#1 1", "a1 1#1 2"));
  EXPECT_THAT(forgotten_, ElementsAre("a0 1#1 7"));
  OnEnd(1, absl::CancelledError("x"));
  OnEnd(2, absl::CancelledError("x"));
  door_.Forget(At("a1"));
  door_.Forget(At("a1", 5));
  EXPECT_THAT(forgotten_, ElementsAre("a0 1#1 7", "a1 1#1 7"));
}

}  // namespace
}  // namespace expertmesh
