// checkpoint_folder.h: a checkpoint in a temporary folder, and ways to damage it.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/config.h"
#include "tests/support/checkpoint_writer.h"

namespace expertmesh {

// Whatever fails in here is a failed CHECK: a test has nothing to go on with.
class CheckpointFolder {
 public:
  enum Empty { kEmpty };

  explicit CheckpointFolder(Empty);  // a folder without files
  explicit CheckpointFolder(const CheckpointOptions& options = {},
                            const ModelConfig& config = SmallModelConfig());
  ~CheckpointFolder();  // removes it all
  CheckpointFolder(const CheckpointFolder&) = delete;
  CheckpointFolder& operator=(const CheckpointFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

  std::string Read(const std::string& name) const;
  void Write(const std::string& name, const std::string& bytes) const;
  void Overwrite(const std::string& name, uint64_t offset, const std::string& bytes) const;
  void EditJson(const std::string& name, const std::function<void(nlohmann::json&)>& edit) const;

  // Edits a safetensors file's header and data.
  void EditTensors(
      const std::string& name,
      const std::function<void(nlohmann::json& header, std::string& data)>& edit) const;

  // Appends a tensor of zeros; `dtype` is "F32", "BF16" or "I64".
  void AddTensor(const std::string& file, const std::string& tensor, const std::string& dtype,
                 const std::vector<int64_t>& shape) const;

  // Takes a tensor away, with its data: the file stays well formed.
  void DropTensor(const std::string& file, const std::string& tensor) const;

 private:
  std::string path_;
};

}  // namespace expertmesh
