// `expertmesh version`: what this is and what this machine gives it.
#include <cstdio>

#include "absl/strings/str_join.h"
#include "cli/command.h"
#include "common/version.h"
#include "device/cpu/cpu_device.h"
#include "kernels/classes.h"
#include "transport/handshake.h"

namespace expertmesh {
namespace {

class VersionCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    return app.add_subcommand("version", "Version, wire version, compute classes of this machine");
  }
  absl::Status Run() override {
    CpuDevice device({});
    auto kernels = OpenClass(kCpuF32, device);
    if (!kernels.ok()) return kernels.status();
    std::printf("expertmesh %s\nwire %d\ncompute class %s (%s)\n", Version(), kWireVersion,
                ToString(Fingerprint(kCpuF32, **kernels, device)).c_str(),
                absl::StrJoin(SupportedIsas(), ", ").c_str());
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<CliCommand> MakeVersionCommand() { return std::make_unique<VersionCommand>(); }

}  // namespace expertmesh
