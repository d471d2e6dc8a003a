#include "tests/chaos/net.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/check.h"
#include "common/status.h"

namespace expertmesh::chaos {
namespace {

constexpr char kOwnSpace[] = "/proc/thread-self/ns/net";
constexpr int kClientNumber = 254;  // in 10.77.0.0/24; hosts count from 1

absl::Status Fault(absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": ", std::strerror(errno)));
}

// Runs a tool, words apart by spaces, in the namespace `space` (-1: this one). Its stderr is in the
// status where it fails.
absl::Status RunTool(const std::string& command, int space = -1) {
  std::vector<std::string> words = absl::StrSplit(command, ' ');
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int err[2];
  if (::pipe2(err, O_CLOEXEC) != 0) return Fault("a pipe");
  const pid_t pid = ::fork();
  if (pid < 0) return Fault("a child process");
  if (pid == 0) {
    ::dup2(::open("/dev/null", O_RDWR), STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    if (space >= 0 && ::setns(space, CLONE_NEWNET) != 0) ::_exit(126);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(err[1]);
  std::string said;
  char bytes[4096];
  for (ssize_t count; (count = ::read(err[0], bytes, sizeof bytes)) > 0;) said.append(bytes, count);
  ::close(err[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    return absl::NotFoundError(absl::StrCat(words[0], " is not installed"));
  }
  return absl::FailedPreconditionError(absl::StrCat("`", command, "`: ", said));
}

absl::Status WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  return file ? absl::OkStatus() : Fault(path);
}

// A network namespace of this thread's own, and of the threads that it makes: as root as it is,
// else with a user namespace around it.
absl::Status LeaveNetwork() {
  if (::unshare(CLONE_NEWNET) == 0) return absl::OkStatus();
  const uid_t user = ::getuid();
  const gid_t group = ::getgid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return Fault("no network namespace");
  RETURN_IF_ERROR(WriteFile("/proc/self/setgroups", "deny"));
  RETURN_IF_ERROR(WriteFile("/proc/self/uid_map", absl::StrCat("0 ", user, " 1")));
  return WriteFile("/proc/self/gid_map", absl::StrCat("0 ", group, " 1"));
}

// Another namespace, which lives as long as the descriptor; this thread stays where it is.
absl::StatusOr<int> MakeSpace() {
  const int own = ::open(kOwnSpace, O_RDONLY | O_CLOEXEC);
  if (own < 0) return Fault(kOwnSpace);
  if (::unshare(CLONE_NEWNET) != 0) {
    const absl::Status fault = Fault("a host's network namespace");
    ::close(own);
    return fault;
  }
  const int made = ::open(kOwnSpace, O_RDONLY | O_CLOEXEC);
  CHECK(::setns(own, CLONE_NEWNET) == 0, "a thread can go back where it came from");
  ::close(own);
  if (made < 0) return Fault(kOwnSpace);
  return made;
}

std::string HubSide(const std::string& host) { return absl::StrCat("to-", host); }

// A table that loses packets as they come in at `device` of the namespace `space`.
absl::Status LoseAt(const std::string& device, int space, int percent) {
  const std::string table = absl::StrCat("netdev loss-", device);
  RunTool(absl::StrCat("nft delete table ", table), space).IgnoreError();  // there may be none
  if (percent == 0) return absl::OkStatus();
  RETURN_IF_ERROR(RunTool(absl::StrCat("nft add table ", table), space));
  RETURN_IF_ERROR(RunTool(absl::StrCat("nft add chain ", table, " in { type filter hook ingress ",
                                       "device ", device, " priority 0 ; }"),
                          space));
  return RunTool(
      absl::StrCat("nft add rule ", table, " in numgen random mod 100 < ", percent, " drop"),
      space);
}

}  // namespace

std::unique_ptr<Net> Net::Make(bool loopback) {
  std::unique_ptr<Net> net(new Net());
  const char* const path = ::getenv("PATH");  // nft is not on everybody's
  ::setenv("PATH", absl::StrCat(path == nullptr ? "" : path, ":/usr/sbin:/sbin").c_str(), 1);
  if (loopback) {
    net->shortcomings_ = "loopback was asked for: no cables are pulled, no packets get lost";
    return net;
  }
  if (const absl::Status isolated = net->Isolate(); !isolated.ok()) {
    net->shortcomings_ = absl::StrCat(
        "hosts are addresses of loopback, no cables are pulled, no "
        "packets get lost: ",
        isolated.message());
    return net;
  }
  net->isolated_ = true;
  const absl::Status lossy = LoseAt("lo", -1, 1);
  net->can_lose_ = lossy.ok();
  if (!lossy.ok()) {
    net->shortcomings_ = absl::StrCat("no packets get lost: ", lossy.message());
  }
  LoseAt("lo", -1, 0).IgnoreError();
  return net;
}

Net::~Net() {
  for (const auto& [name, host] : hosts_) {
    if (host.space >= 0) ::close(host.space);
  }
}

absl::Status Net::Isolate() {
  RETURN_IF_ERROR(RunTool("ip link show"));  // before anything is given up for it
  RETURN_IF_ERROR(LeaveNetwork());
  // From here on loopback is our own, too.
  RETURN_IF_ERROR(RunTool("ip link set lo up"));
  RETURN_IF_ERROR(RunTool("ip link add hub type bridge"));
  RETURN_IF_ERROR(RunTool(absl::StrCat("ip addr add 10.77.0.", kClientNumber, "/24 dev hub")));
  RETURN_IF_ERROR(RunTool("ip link set hub up"));
  ASSIGN_OR_RETURN(const int space, MakeSpace());
  const absl::Status connected = Connect("probe", {kClientNumber - 1, space});
  ::close(space);
  return connected;
}

absl::Status Net::Connect(const std::string& name, const Host& host) {
  const std::string hub_side = HubSide(name);
  const std::string space = absl::StrCat("/proc/", ::getpid(), "/fd/", host.space);
  RETURN_IF_ERROR(
      RunTool(absl::StrCat("ip link add ", hub_side, " type veth peer name eth0 netns ", space)));
  RETURN_IF_ERROR(RunTool(absl::StrCat("ip link set ", hub_side, " master hub up")));
  RETURN_IF_ERROR(RunTool("ip link set lo up", host.space));
  RETURN_IF_ERROR(
      RunTool(absl::StrCat("ip addr add 10.77.0.", host.number, "/24 dev eth0"), host.space));
  return RunTool("ip link set eth0 up", host.space);
}

std::string Net::AddressOf(const Host& host) const {
  return absl::StrCat(isolated_ ? "10.77.0." : "127.0.77.", host.number);
}

absl::StatusOr<std::string> Net::AddHost(const std::string& name) {
  if (const auto known = hosts_.find(name); known != hosts_.end()) return AddressOf(known->second);
  Host host{static_cast<int>(hosts_.size()) + 1, -1};
  if (host.number > 200) return absl::ResourceExhaustedError("at most 200 hosts");
  if (isolated_) {
    ASSIGN_OR_RETURN(host.space, MakeSpace());
    RETURN_IF_ERROR(Connect(name, host));
  }
  hosts_.emplace(name, host);
  return AddressOf(host);
}

std::function<void()> Net::EnterHost(const std::string& name) const {
  const int space = hosts_.at(name).space;
  return [space, parent = ::getpid()] {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(126);
    if (space >= 0 && ::setns(space, CLONE_NEWNET) != 0) ::_exit(126);
  };
}

absl::Status Net::SetCable(const std::string& name, bool plugged) {
  if (!isolated_) return absl::UnavailableError(shortcomings_);
  return RunTool(absl::StrCat("ip link set ", HubSide(name), plugged ? " up" : " down"));
}

absl::Status Net::SetLoss(const std::string& name, int percent) {
  if (!can_lose_) return absl::UnavailableError(shortcomings_);
  RETURN_IF_ERROR(LoseAt("eth0", hosts_.at(name).space, percent));
  return LoseAt(HubSide(name), -1, percent);
}

}  // namespace expertmesh::chaos
