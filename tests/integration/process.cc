#include "tests/integration/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/check.h"

namespace expertmesh {

std::unique_ptr<Process> Process::Start(const std::string& program,
                                        const std::vector<std::string>& arguments,
                                        const std::string& log_path, const std::string& input_path,
                                        const std::function<void()>& in_child) {
  int out[2];
  CHECK(::pipe2(out, O_CLOEXEC) == 0, "a pipe for the child's stdout");
  const std::string path = absl::StrCat(EXPERTMESH_BIN_DIR "/", program);
  std::vector<std::string> words = {path};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  CHECK(pid >= 0, "a child process");
  if (pid == 0) {
    const int log = ::open(log_path.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644);
    ::dup2(::open(input_path.c_str(), O_RDONLY), STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    if (in_child) in_child();
    ::execv(path.c_str(), argv.data());
    ::_exit(127);
  }
  ::close(out[1]);
  return std::unique_ptr<Process>(new Process(pid, out[0]));
}

Process::~Process() {
  if (running()) {
    Signal(SIGKILL);
    Wait(std::chrono::seconds(10));
  }
  ::close(out_);
}

bool Process::Fill(Time until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Now()).count();
  pollfd poll_for{out_, POLLIN, 0};
  if (left <= 0 || ::poll(&poll_for, 1, static_cast<int>(std::min<int64_t>(left, 60000))) <= 0) {
    return false;
  }
  char bytes[65536];
  const ssize_t count = ::read(out_, bytes, sizeof(bytes));
  if (count <= 0) return false;
  buffer_.append(bytes, count);
  return true;
}

std::optional<std::string> Process::ReadLine(Duration patience) {
  const Time until = Now() + patience;
  for (;;) {
    const size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    if (!Fill(until)) return std::nullopt;
  }
}

std::string Process::ListeningAddress(Duration patience) {
  const Time until = Now() + patience;
  while (auto line = ReadLine(until - Now())) {
    absl::string_view rest = *line;
    if (absl::ConsumePrefix(&rest, "listening on ")) return std::string(rest);
  }
  return "";
}

std::string Process::ReadAll(Duration patience) {
  const Time until = Now() + patience;
  while (Fill(until)) {
  }
  return std::exchange(buffer_, "");
}

void Process::Signal(int number) {
  if (!exit_code_) ::kill(pid_, number);
}

bool Process::running() { return !Wait(Duration(0)).has_value(); }

std::optional<int> Process::Wait(Duration patience) {
  const Time until = Now() + patience;
  while (!exit_code_) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    } else if (Now() >= until) {
      return std::nullopt;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  return exit_code_;
}

size_t Process::PeakResidentBytes() const { return MemoryOf("VmHWM:"); }
size_t Process::ResidentBytes() const { return MemoryOf("VmRSS:"); }

size_t Process::MemoryOf(const std::string& field) const {
  std::ifstream status(absl::StrCat("/proc/", pid_, "/status"));
  std::string word;
  size_t kilobytes = 0;
  while (status >> word) {
    if (word == field) status >> kilobytes;
  }
  return kilobytes * 1024;
}

}  // namespace expertmesh
