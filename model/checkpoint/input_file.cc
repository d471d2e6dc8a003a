#include "model/checkpoint/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh {
namespace {

// pread takes at most about 2^31 bytes at once; a round number below that.
constexpr uint64_t kReadBytesMax = uint64_t{1} << 30;

// A file that may be absent must not be taken for absent where a link to it is broken.
absl::Status OpenError(int error, const std::string& path) {
  struct stat information = {};
  if ((error == ENOENT || error == ELOOP) && lstat(path.c_str(), &information) == 0 &&
      S_ISLNK(information.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": found a link that leads nowhere, expected a regular file"));
  }
  return absl::ErrnoToStatus(error, path);
}

}  // namespace

absl::StatusOr<std::unique_ptr<InputFile>> InputFile::Open(const std::string& folder,
                                                           const std::string& name) {
  const std::string path = absl::StrCat(folder, "/", name);
  int descriptor = -1;
  do {  // O_NONBLOCK: a pipe of that name must not hold us up
    descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) return OpenError(errno, path);

  struct stat information = {};
  if (fstat(descriptor, &information) != 0 || !S_ISREG(information.st_mode)) {
    close(descriptor);
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected a regular file"));
  }
  return std::unique_ptr<InputFile>(
      new InputFile(descriptor, name, static_cast<uint64_t>(information.st_size)));
}

InputFile::~InputFile() { close(descriptor_); }

absl::Status InputFile::ReadAt(uint64_t offset, uint64_t bytes, void* out) const {
  auto* to = static_cast<char*>(out);
  const uint64_t end = offset + bytes;
  while (offset < end) {
    const ssize_t got =
        pread(descriptor_, to, std::min(end - offset, kReadBytesMax), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return absl::DataLossError(
          absl::StrCat(name_, ": cannot read at byte ", offset, ": ", std::strerror(errno)));
    }
    if (got == 0) {
      return absl::DataLossError(
          absl::StrCat(name_, ": ends at byte ", offset, ", expected at least ", end));
    }
    to += got;
    offset += static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadTextFile(const std::string& folder, const std::string& name,
                                         uint64_t bytes_max) {
  ASSIGN_OR_RETURN(std::unique_ptr<InputFile> file, InputFile::Open(folder, name));
  if (file->bytes() > bytes_max) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": found ", file->bytes(), " bytes, expected at most ", bytes_max));
  }
  std::string text(file->bytes(), '\0');
  RETURN_IF_ERROR(file->ReadAt(0, text.size(), text.data()));
  return text;
}

}  // namespace expertmesh
