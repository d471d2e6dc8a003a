// test_util.h: ways to make and to break checkpoints, and the form of a broken case.
#pragma once

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "model/tensor_names.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh::broken {

using Json = nlohmann::json;

inline constexpr char kConfig[] = "config.json";
inline constexpr char kGeneration[] = "generation_config.json";
inline constexpr char kModel[] = "model.safetensors";
inline constexpr char kIndex[] = "model.safetensors.index.json";
inline constexpr char kShard1[] = "model-00001-of-000002.safetensors";
inline constexpr char kShard2[] = "model-00002-of-000002.safetensors";

using Damage = std::function<void(const CheckpointFolder&)>;

// A good checkpoint, what is done to it, and what the message must have in it: the file and the
// field or tensor, what was found, what was expected.
struct Broken {
  std::string what;
  Damage damage;
  std::string message;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
  CheckpointOptions options = {};
  ModelConfig config = SmallModelConfig();
};
using Cases = std::vector<Broken>;

// Each in a file of its own.
Cases ConfigCases();
Cases FileCases();
Cases HeaderCases();
Cases TensorCases();
Cases ShardCases();
Cases GenerationCases();

// The same cases of another good checkpoint.
inline Cases Of(CheckpointOptions options, ModelConfig config, Cases cases) {
  for (Broken& broken : cases) {
    broken.options = options;
    broken.config = config;
  }
  return cases;
}

inline Cases Joined(std::vector<Cases> lists) {
  Cases all;
  for (Cases& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

// ---- damages

inline Damage Both(Damage first, Damage second) {
  return [=](const CheckpointFolder& f) {
    first(f);
    second(f);
  };
}

inline Damage Remove(const std::string& name) {
  return [=](const CheckpointFolder& f) { std::filesystem::remove(f.File(name)); };
}

inline Damage Text(const std::string& name, const std::string& text) {
  return [=](const CheckpointFolder& f) { f.Write(name, text); };
}

// The first `from` of a file's text becomes `to`.
inline Damage Replace(const std::string& name, const std::string& from, const std::string& to) {
  return [=](const CheckpointFolder& f) {
    std::string text = f.Read(name);
    text.replace(text.find(from), from.size(), to);
    f.Write(name, text);
  };
}

inline Damage Field(const std::string& file, const std::string& pointer, Json value) {
  return [=](const CheckpointFolder& f) {
    f.EditJson(file, [&](Json& json) { json[Json::json_pointer(pointer)] = value; });
  };
}

inline Damage NoField(const std::string& file, const std::string& name) {
  return
      [=](const CheckpointFolder& f) { f.EditJson(file, [&](Json& json) { json.erase(name); }); };
}

inline Damage Folder(const std::string& name) {
  return [=](const CheckpointFolder& f) {
    std::filesystem::remove(f.File(name));
    std::filesystem::create_directory(f.File(name));
  };
}

inline Damage Pipe(const std::string& name) {
  return [=](const CheckpointFolder& f) {
    std::filesystem::remove(f.File(name));
    if (mkfifo(f.File(name).c_str(), 0600) != 0) std::abort();
  };
}

inline Damage Link(const std::string& name, const std::string& target) {
  return [=](const CheckpointFolder& f) {
    std::filesystem::remove(f.File(name));
    std::filesystem::create_symlink(target, f.File(name));
  };
}

inline Damage CutTo(const std::string& name, uint64_t bytes) {
  return [=](const CheckpointFolder& f) { std::filesystem::resize_file(f.File(name), bytes); };
}

inline Damage Tensor(const std::string& name, const std::function<void(Json&)>& edit) {
  return [=](const CheckpointFolder& f) {
    f.EditTensors(kModel, [&](Json& header, std::string&) { edit(header[name]); });
  };
}

inline Damage Without(const std::string& name) {
  return [=](const CheckpointFolder& f) { f.DropTensor(kModel, name); };
}

inline Damage With(const std::string& name, const std::string& dtype,
                   const std::vector<int64_t>& shape = {2}) {
  return [=](const CheckpointFolder& f) { f.AddTensor(kModel, name, dtype, shape); };
}

// Another tensor of that name.
inline Damage Instead(const std::string& name, const std::string& dtype,
                      const std::vector<int64_t>& shape) {
  return Both(Without(name), With(name, dtype, shape));
}

// A whole file of safetensors: a header of that text, and zeros after it.
inline Damage Header(const std::string& text, size_t data_bytes = 0) {
  return [=](const CheckpointFolder& f) {
    const uint64_t length = text.size();
    f.Write(kModel, std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text +
                        std::string(data_bytes, '\0'));
  };
}

// ---- other good checkpoints

// Takes the experts' tensors of a layer out of a file and puts two in, as transformers has them.
inline void Fuse(const CheckpointFolder& folder, const ModelConfig& config, int64_t layer) {
  folder.EditTensors(kModel, [&](Json& header, std::string& data) {
    const std::string all = std::exchange(data, "");
    const auto bytes_of = [&](const Json& entry) {
      const size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
      return all.substr(begin, end - begin);
    };
    std::string gate_up, down, dtype;
    for (int64_t e = 0; e < config.routed_experts; ++e) {
      for (names::Ffn which : {names::Ffn::kGate, names::Ffn::kUp, names::Ffn::kDown}) {
        const std::string name = names::Expert(layer, e, which);
        (which == names::Ffn::kDown ? down : gate_up) += bytes_of(header[name]);
        dtype = header[name]["dtype"];
        header.erase(name);
      }
    }
    const auto append = [&](Json& entry, const std::string& bytes) {
      entry["data_offsets"] = {data.size(), data.size() + bytes.size()};
      data += bytes;
    };
    for (Json& entry : header) {
      if (entry.contains("data_offsets")) append(entry, bytes_of(entry));
    }
    const int64_t experts = config.routed_experts, width = config.expert_intermediate;
    Json& both = header[names::FusedGateUp(layer)];
    both = {{"dtype", dtype}, {"shape", {experts, 2 * width, config.hidden}}};
    append(both, gate_up);
    Json& one = header[names::FusedDown(layer)];
    one = {{"dtype", dtype}, {"shape", {experts, config.hidden, width}}};
    append(one, down);
  });
}

// A matrix in fp8 and its scales, in place of what is there.
inline void Quantise(const CheckpointFolder& folder, const std::string& name, int64_t rows,
                     int64_t columns) {
  folder.DropTensor(kModel, name);
  folder.EditTensors(kModel, [&](Json& header, std::string& data) {
    const auto add = [&](const std::string& tensor, const char* dtype, int64_t r, int64_t c,
                         const std::string& bytes) {
      header[tensor] = {{"dtype", dtype},
                        {"shape", {r, c}},
                        {"data_offsets", {data.size(), data.size() + bytes.size()}}};
      data += bytes;
    };
    std::string values, scales;
    for (int64_t i = 0; i < rows * columns; ++i) {
      values += static_cast<char>(i * 7 % 251 % 127 + (i % 2 == 0 ? 128 : 0));  // no NaN
    }
    const int64_t r = (rows + 127) / 128, c = (columns + 127) / 128;
    for (int64_t i = 0; i < r * c; ++i) {
      const float scale = 0.3f + static_cast<float>(i);
      scales.append(reinterpret_cast<const char*>(&scale), sizeof(scale));
    }
    add(name, "F8_E4M3", rows, columns, values);
    add(name + "_scale_inv", "F32", r, c, scales);
  });
}

}  // namespace expertmesh::broken
