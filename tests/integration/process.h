// process.h: one program as a child: started, listened to, signalled, waited for.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"

namespace expertmesh {

class Process {
 public:
  // Starts `program` of this build's bin/ with stdout piped and stderr into `log_path`. Its stdin
  // is `input_path`. `in_child` runs in the child before the program does: system calls alone.
  static std::unique_ptr<Process> Start(const std::string& program,
                                        const std::vector<std::string>& arguments,
                                        const std::string& log_path,
                                        const std::string& input_path = "/dev/null",
                                        const std::function<void()>& in_child = nullptr);
  ~Process();  // kills and reaps it if it still runs
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // The next line of stdout, or nullopt when it ended or `patience` is over.
  std::optional<std::string> ReadLine(Duration patience);
  // The address of its line "listening on ADDR"; empty when none came in time.
  std::string ListeningAddress(Duration patience);
  std::string ReadAll(Duration patience);

  void Signal(int number);
  bool running();
  // Its exit code, or 128 + the signal that ended it; nullopt when it still runs after `patience`.
  std::optional<int> Wait(Duration patience);
  // VmHWM of /proc: the most memory that it ever had resident, in bytes.
  size_t PeakResidentBytes() const;
  // VmRSS: what is resident now.
  size_t ResidentBytes() const;
  pid_t pid() const { return pid_; }

 private:
  Process(pid_t pid, int out) : pid_(pid), out_(out) {}
  bool Fill(Time until);  // reads more of stdout
  size_t MemoryOf(const std::string& field) const;

  pid_t pid_;
  int out_;
  std::string buffer_;
  std::optional<int> exit_code_;
};

}  // namespace expertmesh
