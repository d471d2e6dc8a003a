// test_folder.h: a small checkpoint in a temporary folder, for tests that break it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/checkpoint_writer.h"

namespace expertmesh {

class TestFolder {
 public:
  enum Empty { kEmpty };

  explicit TestFolder(Empty) {
    std::string pattern = (std::filesystem::temp_directory_path() / "checkpoint-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  explicit TestFolder(const CheckpointOptions& options = {},
                      const ModelConfig& config = SmallModelConfig())
      : TestFolder(kEmpty) {
    const absl::Status status = WriteCheckpoint(path_, config, options);
    EXPECT_TRUE(status.ok()) << status;
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

  std::string Read(const std::string& name) const {
    std::ifstream file(File(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(File(name), std::ios::binary) << bytes;
  }

  void Overwrite(const std::string& name, uint64_t offset, const std::string& bytes) const {
    std::string content = Read(name);
    content.replace(offset, bytes.size(), bytes);
    Write(name, content);
  }

  void EditJson(const std::string& name, const std::function<void(nlohmann::json&)>& edit) const {
    nlohmann::json json = nlohmann::json::parse(Read(name));
    edit(json);
    Write(name, json.dump());
  }

  // Edits a safetensors file's header and data.
  void EditTensors(const std::string& name,
                   const std::function<void(nlohmann::json&, std::string&)>& edit) const {
    const std::string content = Read(name);
    uint64_t length = 0;
    content.copy(reinterpret_cast<char*>(&length), sizeof(length));
    nlohmann::json header = nlohmann::json::parse(content.substr(8, length));
    std::string data = content.substr(8 + length);
    edit(header, data);
    const std::string text = header.dump();
    length = text.size();
    Write(name, std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text + data);
  }

  // Appends a tensor of zeros; `dtype` is F32, BF16 or I64.
  void AddTensor(const std::string& file, const std::string& tensor, const std::string& dtype,
                 const std::vector<int64_t>& shape) const {
    EditTensors(file, [&](nlohmann::json& header, std::string& data) {
      size_t bytes = dtype == "I64" ? 8 : dtype == "F32" ? 4 : 2;
      for (int64_t size : shape) bytes *= static_cast<size_t>(size);
      header[tensor] = {
          {"dtype", dtype}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + bytes}}};
      data.append(bytes, '\0');
    });
  }

 private:
  std::string path_;
};

}  // namespace expertmesh
