// The operators' half of Client, against a server that the test plays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <thread>

#include "client/client.h"
#include "common/status.h"
#include "rpc/fleet_delta.h"
#include "rpc/server.h"
#include "rpc/status.h"

namespace expertmesh {
namespace {

// Streams these events, then waits for the client to leave, or ends with `end`.
class FakeAdmin final : public v1::Admin::CallbackService {
 public:
  grpc::ServerWriteReactor<v1::FleetEvent>* WatchTopology(
      grpc::CallbackServerContext*, const v1::WatchTopologyRequest*) override {
    return new Call(this);  // deletes itself
  }
  grpc::ServerUnaryReactor* Scale(grpc::CallbackServerContext* context,
                                  const v1::ScaleRequest* request,
                                  v1::ScaleResponse* response) override {
    response->add_started(std::to_string(request->expert_workers()));
    return Done(context, absl::OkStatus());
  }
  grpc::ServerUnaryReactor* Rebalance(grpc::CallbackServerContext* context,
                                      const v1::RebalanceRequest* request,
                                      v1::RebalanceResponse* response) override {
    if (!request->force()) return Done(context, absl::FailedPreconditionError("frozen"));
    response->mutable_plan()->set_bytes(7);
    return Done(context, absl::OkStatus());
  }
  grpc::ServerUnaryReactor* Thaw(grpc::CallbackServerContext* context, const v1::ThawRequest*,
                                 v1::ThawResponse* response) override {
    response->set_was_frozen(true);
    return Done(context, absl::OkStatus());
  }
  grpc::ServerUnaryReactor* SetWorkerOrders(grpc::CallbackServerContext* context,
                                            const v1::SetWorkerOrdersRequest* request,
                                            v1::SetWorkerOrdersResponse* response) override {
    response->mutable_orders()->set_drain(request->drain());
    return Done(context, absl::OkStatus());
  }
  grpc::ServerUnaryReactor* PlanPlacement(grpc::CallbackServerContext* context,
                                          const v1::PlanPlacementRequest* request,
                                          v1::PlanPlacementResponse* response) override {
    response->set_held_up(request->balance() ? "balance" : "");
    return Done(context, absl::OkStatus());
  }

  std::deque<v1::FleetEvent> events;
  std::optional<absl::Status> end;

 private:
  class Call final : public grpc::ServerWriteReactor<v1::FleetEvent> {
   public:
    explicit Call(FakeAdmin* admin) : admin_(admin) { Next(); }
    void OnWriteDone(bool ok) override {
      if (ok) return Next();
      FinishOnce(absl::CancelledError("gone"));
    }
    void OnCancel() override { FinishOnce(absl::CancelledError("gone")); }
    void OnDone() override { delete this; }

   private:
    void Next() {
      if (written_ < admin_->events.size()) return StartWrite(&admin_->events[written_++]);
      if (admin_->end.has_value()) FinishOnce(*admin_->end);
    }
    void FinishOnce(const absl::Status& status) {
      if (!finished_.exchange(true)) Finish(ToGrpcStatus(status));
    }
    FakeAdmin* admin_;
    size_t written_ = 0;
    std::atomic<bool> finished_{false};
  };

  static grpc::ServerUnaryReactor* Done(grpc::CallbackServerContext* context,
                                        const absl::Status& status) {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpcStatus(status));
    return reactor;
  }
};

struct ClientOperatorsTest : testing::Test {
  void SetUp() override {
    auto started = RpcServer::Start({}, {&admin});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    client.emplace(server->address());
    state.set_missing("something");
    v1::FleetEvent event;
    *event.mutable_snapshot() = state;
    event.set_hash(HashOf(state));
    admin.events.push_back(event);
  }
  // The next state has one more worker; it is told as a change.
  void AddWorker(const std::string& name) {
    v1::GetTopologyResponse next = state;
    next.add_workers()->set_name(name);
    v1::FleetEvent event;
    *event.mutable_delta() = DifferenceOf(state, next);
    event.set_hash(HashOf(next));
    admin.events.push_back(event);
    state = next;
  }
  absl::Status Watch(size_t most = 100) {
    return client->WatchTopology([&](const v1::GetTopologyResponse& fleet) {
      seen.push_back(fleet.workers_size());
      last = fleet;
      return seen.size() < most;
    });
  }
  FakeAdmin admin;
  std::unique_ptr<RpcServer> server;
  std::optional<Client> client;
  v1::GetTopologyResponse state, last;
  std::vector<int> seen;
};

TEST_F(ClientOperatorsTest, AWatchGivesTheWholeStateAfterEachEvent) {
  AddWorker("a");
  AddWorker("b");
  v1::FleetEvent beat;
  beat.set_hash(HashOf(state));
  admin.events.push_back(beat);
  EXPECT_EQ(Watch(4), absl::OkStatus());
  EXPECT_THAT(seen, testing::ElementsAre(0, 1, 2, 2));
  EXPECT_EQ(last.SerializeAsString(), state.SerializeAsString());
}

TEST_F(ClientOperatorsTest, AWatchThatMissedAnEventIsEndedAsDataLoss) {
  AddWorker("a");
  admin.events.pop_back();
  AddWorker("b");
  EXPECT_EQ(Watch().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(seen, testing::ElementsAre(0));
}

TEST_F(ClientOperatorsTest, AWatchEndsAsTheServerSays) {
  admin.end = WithRetryAfter(absl::UnavailableError("stops"), Milliseconds(70));
  const absl::Status status = Watch();
  EXPECT_EQ(status.message(), "stops");
  EXPECT_EQ(RetryAfter(status), Milliseconds(70));
  admin.end = absl::OkStatus();
  EXPECT_EQ(Watch().code(), absl::StatusCode::kUnavailable) << "never OK by itself";
}

TEST_F(ClientOperatorsTest, AWatchIsCancelledFromAnotherThread) {
  std::thread other;
  const absl::Status status = client->WatchTopology([&](const auto&) {
    if (!other.joinable()) other = std::thread([&] { client->CancelRunning(); });
    return true;
  });
  other.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
}

TEST_F(ClientOperatorsTest, OrdersAndPlansArePassedOn) {
  v1::SetWorkerOrdersRequest orders;
  orders.set_drain(true);
  EXPECT_TRUE(client->SetWorkerOrders(orders)->orders().drain());
  v1::PlanPlacementRequest query;
  query.set_balance(true);
  EXPECT_EQ(client->PlanPlacement(query)->held_up(), "balance");
  EXPECT_EQ(client->Rebalance().status(), absl::FailedPreconditionError("frozen"));
  EXPECT_EQ(client->Rebalance(/*force=*/true)->plan().bytes(), 7u);
  EXPECT_TRUE(client->Thaw()->was_frozen());
  EXPECT_EQ(client->Scale(5)->started(0), "5");
}

}  // namespace
}  // namespace expertmesh
