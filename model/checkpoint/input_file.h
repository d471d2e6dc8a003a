// input_file.h: one open file of a checkpoint, read at offsets.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace expertmesh {

// Threads  ReadAt from any.
class InputFile {
 public:
  // Opens `folder`/`name`, following links (download caches are made of them).
  // Errors  NOT_FOUND: there is no such file; INVALID_ARGUMENT: it is a folder, a pipe or a device,
  //         or a link that leads nowhere;
  //         or what errno says.
  static absl::StatusOr<std::unique_ptr<InputFile>> Open(const std::string& folder,
                                                         const std::string& name);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& name() const { return name_; }
  uint64_t bytes() const { return bytes_; }  // when it was opened

  // Errors  DATA_LOSS: the file is shorter than that by now, or the disk refuses.
  absl::Status ReadAt(uint64_t offset, uint64_t bytes, void* out) const;

 private:
  InputFile(int descriptor, std::string name, uint64_t bytes)
      : descriptor_(descriptor), name_(std::move(name)), bytes_(bytes) {}

  const int descriptor_;
  const std::string name_;
  const uint64_t bytes_;
};

// The whole of a small file as text.
// Errors  as Open and ReadAt; INVALID_ARGUMENT: it has more than `bytes_max` bytes. All name it.
absl::StatusOr<std::string> ReadTextFile(const std::string& folder, const std::string& name,
                                         uint64_t bytes_max);

}  // namespace expertmesh
