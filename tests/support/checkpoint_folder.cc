#include "tests/support/checkpoint_folder.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/check.h"

namespace expertmesh {

using Json = nlohmann::json;

CheckpointFolder::CheckpointFolder(Empty) {
  path_ = (std::filesystem::temp_directory_path() / "checkpoint-XXXXXX").string();
  CHECK(mkdtemp(path_.data()) != nullptr, "a temporary folder can be made");
}

CheckpointFolder::CheckpointFolder(const CheckpointOptions& options, const ModelConfig& config)
    : CheckpointFolder(kEmpty) {
  const absl::Status status = WriteCheckpoint(path_, config, options);
  CHECK(status.ok(), status.ToString());
}

CheckpointFolder::~CheckpointFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string CheckpointFolder::Read(const std::string& name) const {
  std::ifstream file(File(name), std::ios::binary);
  CHECK(file.good(), File(name));
  return {std::istreambuf_iterator<char>(file), {}};
}

void CheckpointFolder::Write(const std::string& name, const std::string& bytes) const {
  std::ofstream file(File(name), std::ios::binary);
  file << bytes;
  file.close();
  CHECK(file.good(), File(name));
}

void CheckpointFolder::Overwrite(const std::string& name, uint64_t offset,
                                 const std::string& bytes) const {
  std::string content = Read(name);
  content.replace(offset, bytes.size(), bytes);
  Write(name, content);
}

void CheckpointFolder::EditJson(const std::string& name,
                                const std::function<void(Json&)>& edit) const {
  Json json = Json::parse(Read(name));
  edit(json);
  Write(name, json.dump());
}

void CheckpointFolder::EditTensors(
    const std::string& name,
    const std::function<void(Json& header, std::string& data)>& edit) const {
  const std::string content = Read(name);
  uint64_t length = 0;
  content.copy(reinterpret_cast<char*>(&length), sizeof(length));
  Json header = Json::parse(content.substr(sizeof(length), length));
  std::string data = content.substr(sizeof(length) + length);
  edit(header, data);
  const std::string text = header.dump();
  length = text.size();
  Write(name, std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text + data);
}

void CheckpointFolder::AddTensor(const std::string& file, const std::string& tensor,
                                 const std::string& dtype,
                                 const std::vector<int64_t>& shape) const {
  EditTensors(file, [&](Json& header, std::string& data) {
    size_t bytes = dtype == "I64" ? 8 : dtype == "F32" ? 4 : 2;
    for (int64_t size : shape) bytes *= static_cast<size_t>(size);
    header[tensor] = {
        {"dtype", dtype}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + bytes}}};
    data.append(bytes, '\0');
  });
}

void CheckpointFolder::DropTensor(const std::string& file, const std::string& tensor) const {
  EditTensors(file, [&](Json& header, std::string& data) {
    const uint64_t begin = header[tensor]["data_offsets"][0];
    const uint64_t end = header[tensor]["data_offsets"][1];
    header.erase(tensor);
    data.erase(begin, end - begin);
    for (Json& entry : header) {
      if (!entry.contains("data_offsets") || entry["data_offsets"][0] < end) continue;
      for (Json& offset : entry["data_offsets"]) offset = offset.get<uint64_t>() - (end - begin);
    }
  });
}

}  // namespace expertmesh
