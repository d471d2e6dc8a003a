#include "transport/local/local_transport.h"

#include <map>
#include <utility>

#include "common/check.h"
#include "common/mutex.h"
#include "transport/local/local_core.h"

namespace expertmesh {

struct LocalHub::State {
  Mutex mutex;
  std::map<std::string, std::shared_ptr<LocalCore>, std::less<>> cores ABSL_GUARDED_BY(mutex);

  std::shared_ptr<LocalCore> Find(absl::string_view address) {
    MutexLock lock(mutex);
    auto core = cores.find(std::string(address));
    return core == cores.end() ? nullptr : core->second;
  }
};

namespace {

// Erases the address first, so that whoever dials it from then on finds nobody, and what was
// dialled before is in the inbox when the core stops.
class LocalTransport final : public Transport {
 public:
  using Find = std::function<std::shared_ptr<LocalCore>(absl::string_view address)>;

  LocalTransport(std::shared_ptr<LocalCore> core, Find find, std::function<void()> leave)
      : core_(std::move(core)), find_(std::move(find)), leave_(std::move(leave)) {}
  ~LocalTransport() override { Stop(); }

  std::shared_ptr<Channel> Open(absl::string_view address,
                                const PeerExpectation& expected) override {
    return core_->Open(find_(address), address, expected);
  }
  void SetHello(const Hello& mine) override { core_->SetHello(mine); }
  void Stop() override {
    std::call_once(stopped_, [this] {
      leave_();
      core_->Stop();
    });
  }

 private:
  const std::shared_ptr<LocalCore> core_;
  const Find find_;
  const std::function<void()> leave_;
  std::once_flag stopped_;
};

}  // namespace

LocalHub::LocalHub() : state_(std::make_shared<State>()) {}
LocalHub::~LocalHub() = default;

std::unique_ptr<Transport> LocalHub::Join(absl::string_view address, Endpoint* endpoint) {
  auto core = std::make_shared<LocalCore>(std::string(address), endpoint);
  {
    MutexLock lock(state_->mutex);
    const bool unique = state_->cores.emplace(std::string(address), core).second;
    CHECK(unique, "two transports of one hub have one address");
  }
  core->Start();
  return std::make_unique<LocalTransport>(
      core, [state = state_](absl::string_view to) { return state->Find(to); },
      [state = state_, name = std::string(address)] {
        MutexLock lock(state->mutex);
        state->cores.erase(name);
      });
}

}  // namespace expertmesh
