#include "cli/embedded/local_control_link.h"

#include <atomic>
#include <utility>

#include "common/mutex.h"

namespace expertmesh {
namespace {

// One Connect. Both ends let go of it by clearing `listener`; whoever calls it holds the mutex, so
// that nothing is called after the clearing has returned.
struct Connection {
  Mutex mutex;
  ControlLinkListener* listener ABSL_GUARDED_BY(mutex) = nullptr;

  void Command(const expertmesh::Command& command) {
    MutexLock lock(mutex);
    if (listener != nullptr) listener->OnCommand(command);
  }
  // True when it was open.
  bool Drop(bool tell) {
    MutexLock lock(mutex);
    ControlLinkListener* was = std::exchange(listener, nullptr);
    if (was != nullptr && tell) was->OnLinkDown(absl::UnavailableError("closed by control"));
    return was != nullptr;
  }
};

class LocalControlLink final : public ControlLink {
 public:
  explicit LocalControlLink(ControlServerListener* control) : control_(control) {}
  ~LocalControlLink() override { Stop(); }

  void Connect(ControlLinkListener* listener) override {
    Stop();
    static std::atomic<LinkId> next_id{1};
    id_ = next_id.fetch_add(1);
    connection_ = std::make_shared<Connection>();
    {
      MutexLock lock(connection_->mutex);
      connection_->listener = listener;
    }
    ControlServerListener* control = control_;
    const LinkId id = id_;
    auto connection = connection_;
    control_->OnLinkOpened(id,
                           {[connection](const Command& command) { connection->Command(command); },
                            [connection, control, id] {
                              if (connection->Drop(/*tell=*/true)) control->OnLinkClosed(id);
                            }});
    listener->OnLinkUp();
  }

  void Send(const Report& report) override {
    if (connection_ != nullptr) control_->OnReport(id_, report);
  }

  void Stop() override {
    if (connection_ != nullptr && connection_->Drop(/*tell=*/false)) control_->OnLinkClosed(id_);
    connection_ = nullptr;
  }

 private:
  ControlServerListener* control_;
  LinkId id_ = 0;
  std::shared_ptr<Connection> connection_;
};

}  // namespace

std::unique_ptr<ControlLink> MakeLocalControlLink(ControlServerListener* control) {
  return std::make_unique<LocalControlLink>(control);
}

}  // namespace expertmesh
