// An operator at work: cordons a worker for a while, drains it, or has the load spread anew.
#include "simulation/cluster.h"
#include "simulation/faults/fault.h"
#include "simulation/roles/coordinator_process.h"

namespace expertmesh::simulation {
namespace {

// In the loop of the coordinator that lives now, if one does.
void Order(Cluster& cluster, std::function<void(Membership& control)> order) {
  CoordinatorProcess* coordinator = cluster.coordinator();
  if (coordinator == nullptr) return;
  coordinator->Post([coordinator, order = std::move(order)] { order(coordinator->control()); });
}

}  // namespace

void InjectOperator(Cluster& cluster, const FaultPlan& fault) {
  if (fault.strength < 0.4) {
    return Order(cluster, [](Membership& control) { control.Rebalance(); });
  }
  const std::string name = fault.target;
  const bool drain = fault.strength < 0.7;
  Order(cluster, [name, drain](Membership& control) {
    WorkerOrders orders = control.OrdersOf(name);
    (drain ? orders.drain : orders.cordoned) = true;
    control.SetOrders(name, orders);
  });
  cluster.world().events.After(fault.length, [&cluster, name] {
    Order(cluster, [name](Membership& control) { control.SetOrders(name, WorkerOrders()); });
  });
}

}  // namespace expertmesh::simulation
