// The suite on the transport of one process.
#include "tests/conformance/channel_suite.h"
#include "transport/local/local_transport.h"

namespace expertmesh {
namespace {

class LocalFleet final : public Fleet {
 public:
  Transport& Add(const std::string& name, Endpoint* endpoint) override {
    return *(transports_[name] = hub_.Join(name, endpoint));
  }
  std::string Address(const std::string& name) override { return name; }
  std::string AddressOfNobody() override { return "nobody"; }
  std::string FragileAddress(const std::string& name) override { return name; }
  // Within one process nothing vanishes by itself: somebody stops it.
  void Vanish(const std::string& name) override { transports_.at(name)->Stop(); }

 private:
  LocalHub hub_;
  std::map<std::string, std::unique_ptr<Transport>> transports_;
};

INSTANTIATE_TEST_SUITE_P(Local, ChannelConformance,
                         testing::Values(FleetKind{"local",
                                                   [] { return std::make_unique<LocalFleet>(); }}),
                         NameOfKind);

}  // namespace
}  // namespace expertmesh
