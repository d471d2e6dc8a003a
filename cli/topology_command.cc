// `expertmesh topology`: who is in the fleet, who holds what, what is missing; once, or live.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cli/fleet/fleet_text.h"
#include "cli/fleet/live_text.h"
#include "cli/interrupt.h"
#include "cli/operator_command.h"
#include "common/status.h"

namespace expertmesh {
namespace {

constexpr std::chrono::milliseconds kRedialPeriod{200};

// The picture of a terminal: each one replaces the one before, in place.
class Screen {
 public:
  static bool IsTerminal() { return isatty(STDOUT_FILENO) == 1; }

  void Show(const v1::GetTopologyResponse& fleet) {
    winsize size{};
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    const size_t columns = known ? size.ws_col : 80;
    const size_t lines = known && size.ws_row > 1 ? size.ws_row - 1 : 24;
    const std::string text = LiveScreen(fleet, columns, lines);
    std::string out;
    if (shown_ > 0) absl::StrAppend(&out, "\x1b[", shown_, "A\r\x1b[J");
    out += text;
    std::fputs(out.c_str(), stdout);
    std::fflush(stdout);
    shown_ = std::count(text.begin(), text.end(), '\n');
  }

 private:
  int64_t shown_ = 0;  // lines
};

class TopologyCommand final : public OperatorCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand("topology", "Who is in the fleet, and who holds what");
    AddOperatorFlags(*command, "GetTopologyResponse");
    CLI::Option* wait =
        command->add_option("--wait", wait_, "seconds to wait for the fleet to be whole first")
            ->check(CLI::Range(0.0, 1e7));
    command
        ->add_flag("--watch", watch_,
                   "go on as it changes, until Ctrl-C: in place on a terminal, else the lines "
                   "that change; with --json one object a line")
        ->excludes(wait);
    return command;
  }

  absl::Status Run() override {
    if (watch_) return RunWatch();
    Client client(server_);
    absl::Status whole;
    if (wait_ > 0) {
      whole = client.WaitUntilWhole(std::chrono::milliseconds(static_cast<int64_t>(wait_ * 1e3)));
    }
    ASSIGN_OR_RETURN(const v1::GetTopologyResponse fleet, client.GetTopology());
    RETURN_IF_ERROR(Print(fleet, FleetText(fleet)));
    return whole;
  }

 private:
  absl::Status RunWatch() {
    InterruptHandler interrupts;  // before any thread
    Client client(server_);
    interrupts.Set([&] {
      interrupted_ = true;
      client.CancelRunning();
    });
    const absl::Status ended = Watch(client);
    interrupts.Set(nullptr);
    return ended;
  }

  // Until interrupted. A coordinator that goes away once it has been seen is waited for.
  absl::Status Watch(Client& client) {
    for (;;) {
      const absl::Status ended = client.WatchTopology([this](const auto& fleet) {
        seen_ = true;
        away_ = false;
        Show(fleet);
        return !interrupted_;
      });
      if (interrupted_) return absl::OkStatus();
      const bool comes_back = absl::IsUnavailable(ended) || absl::IsDataLoss(ended);
      if (!seen_ || !comes_back) return ended;
      if (!away_) std::fprintf(stderr, "waiting: %s\n", std::string(ended.message()).c_str());
      away_ = true;
      std::this_thread::sleep_for(kRedialPeriod);
      if (interrupted_) return absl::OkStatus();
    }
  }

  void Show(const v1::GetTopologyResponse& fleet) {
    if (json_) {
      const std::string bytes = fleet.SerializeAsString();
      if (bytes != last_) PrintJson(fleet, /*compact=*/true).IgnoreError();
      last_ = bytes;
    } else if (terminal_) {
      screen_.Show(fleet);
    } else {
      std::fputs(lines_.ChangesTo(fleet).c_str(), stdout);
      std::fflush(stdout);
    }
  }

  double wait_ = 0;
  bool watch_ = false;
  std::atomic<bool> interrupted_{false};
  bool seen_ = false, away_ = false;
  const bool terminal_ = Screen::IsTerminal();
  Screen screen_;
  LiveLines lines_;
  std::string last_;
};

}  // namespace

std::unique_ptr<CliCommand> MakeTopologyCommand() { return std::make_unique<TopologyCommand>(); }

}  // namespace expertmesh
