#include "coordinator/service/admin_service.h"

#include <gmock/gmock.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/service/listing.h"
#include "coordinator/test_workers.h"
#include "rpc/channel.h"
#include "rpc/convert_fleet.h"
#include "rpc/fleet_delta.h"
#include "rpc/server.h"
#include "rpc/status.h"

namespace expertmesh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr FleetWatchTiming kFast{.period = Milliseconds(2), .heartbeat = Milliseconds(40)};

// The service of a coordinator whose workers obey at once.
struct AdminServiceTest : testing::Test {
  void SetUp() override {
    auto started = RpcServer::Start({}, {&service});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    stub = v1::Admin::NewStub(DialInsecure(server->address()));
  }
  void TearDown() override {
    service.Close();
    server->Stop(std::chrono::seconds(1));
  }
  void JoinThree() {
    workers.Join("a1", WorkerRole::kAttention);
    for (const char* name : {"e1", "e2", "e3"}) workers.Join(name, WorkerRole::kExpert);
    for (const char* name : {"e1", "e2", "e3"}) {
      workers.WaitFor(name, [](const auto& worker) { return worker.report.holds.size() == 4; });
    }
  }

  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (v1::Admin::Stub::*method)(grpc::ClientContext*, const Request&,
                                                            Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    return FromGrpcStatus((stub.get()->*method)(&context, request, response));
  }
  absl::StatusOr<v1::SetWorkerOrdersResponse> Order(const v1::SetWorkerOrdersRequest& request) {
    v1::SetWorkerOrdersResponse response;
    RETURN_IF_ERROR(Call(&v1::Admin::Stub::SetWorkerOrders, request, &response));
    return response;
  }
  std::string Refused(const v1::SetWorkerOrdersRequest& request) {
    const absl::Status status = Order(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }

  Coordinator coordinator{OptionsOfTests(3), [](const auto&, const auto&) { return nullptr; }};
  TestWorkers workers{&coordinator};
  std::vector<int> scalings;
  AdminGrpcService service{&coordinator,
                           [this](int workers) -> absl::StatusOr<Scaled> {
                             scalings.push_back(workers);
                             return Scaled{{"e4"}, {"e1", "e2"}};
                           },
                           kFast};
  std::unique_ptr<RpcServer> server;
  std::unique_ptr<v1::Admin::Stub> stub;
};

TEST_F(AdminServiceTest, OrdersAreTakenAndListed) {
  JoinThree();
  v1::SetWorkerOrdersRequest request;
  request.set_name("e1");
  request.set_cordoned(true);
  ExpertSet pinned(kWorkersGrid);
  pinned.Insert(2, 5);
  *request.mutable_pinned() = ToProto(pinned);
  const auto response = Order(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(response->orders().cordoned());
  EXPECT_EQ(response->orders().pinned_experts(), 1);
  EXPECT_EQ(response->orders().pinned_text(), "layer 2: experts 5");
  EXPECT_EQ(response->state(), v1::WORKER_STATE_READY);

  v1::GetTopologyResponse fleet;
  ASSERT_TRUE(Call(&v1::Admin::Stub::GetTopology, v1::GetTopologyRequest(), &fleet).ok());
  EXPECT_FALSE(fleet.workers(0).has_orders());
  EXPECT_EQ(fleet.workers(1).orders().SerializeAsString(), response->orders().SerializeAsString());
  EXPECT_EQ(fleet.workers(1).fault_margin(), v1::FAULT_MARGIN_SPARE_MEMORY);
  EXPECT_EQ(fleet.workers(1).room_experts(), 100);
  EXPECT_FALSE(fleet.has_frozen());
  EXPECT_EQ(fleet.balance().covered(), 12);

  request.Clear();
  request.set_name("e1");
  request.mutable_pinned();  // none
  EXPECT_FALSE(Order(request)->orders().has_pinned());
  EXPECT_TRUE(Order(request)->orders().cordoned());
}

TEST_F(AdminServiceTest, OrdersOfBadNamesAndExpertsAreRefusedByField) {
  JoinThree();
  v1::SetWorkerOrdersRequest request;
  EXPECT_EQ(Refused(request), "name has 0 bytes; from 1 to 128");
  request.set_name("e 1");
  EXPECT_THAT(Refused(request), HasSubstr("name has a character (code 32)"));
  request.set_name(std::string(129, 'x'));
  EXPECT_THAT(Refused(request), HasSubstr("name has 129 bytes"));
  request.set_name("e1");
  *request.mutable_pinned() = ToProto(ExpertSet(kWorkersGrid));
  request.mutable_pinned()->set_bits("x");
  EXPECT_THAT(Refused(request), HasSubstr("pinned: "));
  ExpertSet other(ExpertGrid{0, 1, 6});
  other.Insert(0, 1);
  *request.mutable_pinned() = ToProto(other);
  EXPECT_THAT(Refused(request), HasSubstr("pinned is for 1 layers of 6 experts"));
}

TEST_F(AdminServiceTest, APlanHasItsMovesByWorker) {
  JoinThree();
  v1::PlanPlacementRequest request;
  request.add_drain("e3");
  v1::PlanPlacementResponse response;
  ASSERT_TRUE(Call(&v1::Admin::Stub::PlanPlacement, request, &response).ok());
  ASSERT_EQ(response.plan().rounds_size(), 1);
  const v1::PlacementRound& round = response.plan().rounds(0);
  EXPECT_TRUE(round.cover());
  ASSERT_EQ(round.moves_size(), 3);
  int64_t loads = 0;
  uint64_t bytes = 0;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(round.moves(i).worker(), absl::StrCat("e", i + 1));
    EXPECT_FALSE(round.moves(i).has_unloads());
    loads += round.moves(i).load_experts();
    bytes += round.moves(i).load_bytes();
  }
  EXPECT_EQ(loads, 4);
  EXPECT_EQ(bytes, response.plan().bytes());
  EXPECT_EQ(round.moves(2).unload_experts(), 4);
  EXPECT_FALSE(round.moves(2).has_loads());
  EXPECT_FALSE(response.has_held_up());
  request.add_drain("nobody");
  EXPECT_EQ(Call(&v1::Admin::Stub::PlanPlacement, request, &response).code(),
            absl::StatusCode::kNotFound);
}

TEST_F(AdminServiceTest, RebalanceAndThawAnswer) {
  JoinThree();
  workers.Join("e4", WorkerRole::kExpert);
  v1::RebalanceResponse rebalanced;
  ASSERT_TRUE(Call(&v1::Admin::Stub::Rebalance, v1::RebalanceRequest(), &rebalanced).ok());
  EXPECT_GT(rebalanced.plan().rounds_size(), 0);
  v1::ThawResponse thawed;
  ASSERT_TRUE(Call(&v1::Admin::Stub::Thaw, v1::ThawRequest(), &thawed).ok());
  EXPECT_FALSE(thawed.was_frozen());
}

TEST_F(AdminServiceTest, ScalesWithinItsBounds) {
  v1::ScaleResponse response;
  for (int count : {0, 65, -1}) {
    v1::ScaleRequest request;
    request.set_expert_workers(count);
    const absl::Status refused = Call(&v1::Admin::Stub::Scale, request, &response);
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(refused.message(),
              absl::StrCat("expert_workers is ", count, "; it goes from 1 to 64"));
  }
  v1::ScaleRequest request;
  request.set_expert_workers(64);
  ASSERT_TRUE(Call(&v1::Admin::Stub::Scale, request, &response).ok());
  EXPECT_THAT(scalings, ElementsAre(64));
  EXPECT_THAT(response.started(), ElementsAre("e4"));
  EXPECT_THAT(response.drained(), ElementsAre("e1", "e2"));
}

TEST_F(AdminServiceTest, WithoutAScalerThereIsNothingToScale) {
  AdminGrpcService processes(&coordinator);
  auto other = RpcServer::Start({}, {&processes});
  ASSERT_TRUE(other.ok());
  grpc::ClientContext context;
  v1::ScaleResponse response;
  const absl::Status refused = FromGrpcStatus(
      v1::Admin::NewStub(DialInsecure((*other)->address()))->Scale(&context, {}, &response));
  EXPECT_EQ(refused, absl::FailedPreconditionError("this coordinator starts no workers"));
  processes.Close();
}

TEST_F(AdminServiceTest, EveryCallEndsWhenItCloses) {
  grpc::ClientContext context;
  auto watch = stub->WatchTopology(&context, {});
  v1::FleetEvent event;
  EXPECT_TRUE(watch->Read(&event));
  service.Close();
  while (watch->Read(&event)) {
  }
  EXPECT_EQ(FromGrpcStatus(watch->Finish()).code(), absl::StatusCode::kUnavailable);
  v1::GetTopologyResponse fleet;
  v1::ThawResponse thawed;
  EXPECT_EQ(Call(&v1::Admin::Stub::GetTopology, {}, &fleet).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Call(&v1::Admin::Stub::Thaw, {}, &thawed).code(), absl::StatusCode::kUnavailable);
  grpc::ClientContext late;
  auto again = stub->WatchTopology(&late, {});
  EXPECT_FALSE(again->Read(&event));
  EXPECT_EQ(FromGrpcStatus(again->Finish()).code(), absl::StatusCode::kUnavailable);
}

// ---- the watch

// One who watches, and puts together what is told.
class Watcher {
 public:
  explicit Watcher(v1::Admin::Stub* stub) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    call_ = stub->WatchTopology(&context_, {});
  }
  ~Watcher() {
    context_.TryCancel();
    call_->Finish().error_code();
  }
  // The next event; the test fails if there is none, or what comes out is not what was told.
  v1::FleetEvent Next() {
    v1::FleetEvent event;
    EXPECT_TRUE(call_->Read(&event));
    const absl::Status applied = ApplyEvent(event, fleet);
    EXPECT_TRUE(applied.ok()) << applied;
    return event;
  }
  // Reads until it has the state of now, or 20 s are over.
  bool CatchesUp(const Coordinator& coordinator) {
    const auto there = [&] { return HashOf(fleet) == HashOf(ToProto(coordinator.List())); };
    const Time until = Now() + std::chrono::seconds(20);
    while (!there() && Now() < until) Next();
    return there();
  }
  v1::GetTopologyResponse fleet;

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::FleetEvent>> call_;
};

TEST_F(AdminServiceTest, AWatchBeginsWithASnapshotAndGoesOnWithWhatChanges) {
  JoinThree();
  Watcher watcher(stub.get());
  EXPECT_TRUE(watcher.Next().has_snapshot());
  EXPECT_EQ(watcher.fleet.workers_size(), 4);
  ASSERT_TRUE(coordinator.SetOrders("e3", {.cordoned = true}).ok());
  v1::FleetEvent event;
  do event = watcher.Next();
  while (!event.has_delta());
  EXPECT_FALSE(event.has_snapshot());
  // e3, and the others, for whose experts it has no room any more.
  ASSERT_EQ(event.delta().workers_size(), 3);
  EXPECT_EQ(event.delta().workers(0).spare_experts(), 96);
  EXPECT_TRUE(event.delta().workers(2).orders().cordoned());
  EXPECT_EQ(event.delta().members_size(), 0);
}

TEST_F(AdminServiceTest, AQuietFleetSaysThatItIsThere) {
  JoinThree();
  Watcher watcher(stub.get());
  watcher.Next();
  for (int i = 0; i < 3; ++i) {
    const v1::FleetEvent event = watcher.Next();
    EXPECT_FALSE(event.has_snapshot() || event.has_delta());
    EXPECT_EQ(event.hash(), HashOf(watcher.fleet));
  }
}

// Two who watch, one of whom reads only at the end; workers come, go and are ordered about.
TEST_F(AdminServiceTest, WhoeverWatchesHasTheStateOfNowHoweverSlowly) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    std::mt19937_64 random(seed);
    Watcher quick(stub.get()), slow(stub.get());
    std::map<std::string, bool> there;
    for (int step = 0; step < 60; ++step) {
      const std::string name = absl::StrCat("e", seed, random() % 5);
      switch (random() % 4) {
        case 0:
          if (there[name]) workers.Lose(name);
          there[name] = false;
          break;
        case 1:
          ASSERT_TRUE(coordinator.SetOrders(name, {.cordoned = random() % 2 == 0}).ok());
          break;
        default:
          workers.Join(name, WorkerRole::kExpert);
          there[name] = true;
      }
      if (step % 5 == 0) quick.Next();
    }
    EXPECT_TRUE(quick.CatchesUp(coordinator)) << "seed " << seed;
    EXPECT_TRUE(slow.CatchesUp(coordinator)) << "seed " << seed;
  }
}

TEST_F(AdminServiceTest, WatchersAreBounded) {
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (size_t i = 0; i < kMaxWatchers; ++i) {
    watchers.push_back(std::make_unique<Watcher>(stub.get()));
    watchers.back()->Next();
  }
  const auto refusal = [this] {
    grpc::ClientContext context;
    auto one_more = stub->WatchTopology(&context, {});
    v1::FleetEvent event;
    if (one_more->Read(&event)) {
      context.TryCancel();
      one_more->Finish().error_code();
      return absl::OkStatus();
    }
    return FromGrpcStatus(one_more->Finish());
  };
  const absl::Status refused = refusal();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.message(), "64 calls of it run already");
  EXPECT_TRUE(RetryAfter(refused).has_value());
  watchers.pop_back();
  const Time until = Now() + std::chrono::seconds(20);
  absl::Status later = refused;
  while (!later.ok() && Now() < until) later = refusal();
  EXPECT_TRUE(later.ok()) << "one has gone: " << later;
}

}  // namespace
}  // namespace expertmesh
