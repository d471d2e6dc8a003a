#include "model/checkpoint/checkpoint.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/hash.h"
#include "common/status.h"
#include "model/checkpoint/input_file.h"
#include "model/checkpoint/inventory.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/shard_index.h"
#include "model/tensor_names.h"

namespace expertmesh {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are used as they are stored");

constexpr char kConfigFile[] = "config.json";
constexpr char kGenerationFile[] = "generation_config.json";
constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";

constexpr uint64_t kConfigBytesMax = uint64_t{1} << 20;
constexpr uint64_t kIndexBytesMax = uint64_t{1} << 27;  // V3, with 163 shards: 9 MB
constexpr uint64_t kSampleBytesMax = 4096;

absl::StatusOr<std::vector<SafetensorsEntry>> ReadHeader(const InputFile& file) {
  std::string head(std::min(file.bytes(), kSafetensorsPrefixBytes), '\0');
  RETURN_IF_ERROR(file.ReadAt(0, head.size(), head.data()));
  absl::StatusOr<uint64_t> bytes = SafetensorsHeaderBytes(head, file.bytes());
  if (!bytes.ok()) return Annotate(bytes.status(), file.name());
  head.resize(*bytes);
  RETURN_IF_ERROR(file.ReadAt(0, head.size(), head.data()));
  auto entries = ParseSafetensorsHeader(head, file.bytes());
  if (!entries.ok()) return Annotate(entries.status(), file.name());
  return entries;
}

absl::StatusOr<ShardMap> ReadIndex(const std::string& folder) {
  auto text = ReadTextFile(folder, kIndexFile, kIndexBytesMax);
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(
        absl::StrCat(folder, ": found neither ", kSingleFile, " nor ", kIndexFile));
  }
  if (!text.ok()) return text.status();
  auto index = ParseShardIndex(*text);
  if (!index.ok()) return Annotate(index.status(), kIndexFile);
  return index;
}

float Widen(DType dtype, const char* at) {
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return dtype == DType::kBf16 ? Bf16ToF32(bits) : F16ToF32(bits);
}

void AddNumber(Hasher128& hasher, uint64_t number) { hasher.Add(&number, sizeof(number)); }

// With its length, so that no two lists of texts hash alike.
void AddText(Hasher128& hasher, absl::string_view text) {
  AddNumber(hasher, text.size());
  hasher.Add(text);
}

}  // namespace

Checkpoint::Checkpoint() = default;
Checkpoint::~Checkpoint() = default;

absl::StatusOr<ModelConfig> Checkpoint::ReadConfig(absl::string_view folder) {
  Checkpoint checkpoint;
  checkpoint.folder_ = std::string(folder);
  RETURN_IF_ERROR(checkpoint.TakeConfig());
  return std::move(checkpoint.config_);
}

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::Open(absl::string_view folder) {
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint);
  checkpoint->folder_ = std::string(folder);
  RETURN_IF_ERROR(checkpoint->TakeConfig());
  RETURN_IF_ERROR(checkpoint->OpenFiles());
  return checkpoint;
}

absl::Status Checkpoint::TakeConfig() {
  if (folder_.empty()) return absl::InvalidArgumentError("found no folder of a checkpoint");
  ASSIGN_OR_RETURN(config_text_, ReadTextFile(folder_, kConfigFile, kConfigBytesMax));
  absl::StatusOr<ModelConfig> config = ParseModelConfig(config_text_);
  if (!config.ok()) return Annotate(config.status(), kConfigFile);
  config_ = *std::move(config);

  auto generation = ReadTextFile(folder_, kGenerationFile, kConfigBytesMax);
  if (absl::IsNotFound(generation.status())) return absl::OkStatus();
  if (!generation.ok()) return generation.status();
  auto eos = ParseGenerationEos(*generation, config_.vocabulary);
  if (!eos.ok()) return Annotate(eos.status(), kGenerationFile);
  if (!eos->empty()) config_.eos_token_ids = *std::move(eos);
  return absl::OkStatus();
}

absl::Status Checkpoint::OpenFiles() {
  auto single = InputFile::Open(folder_, kSingleFile);
  if (!single.ok() && !absl::IsNotFound(single.status())) return single.status();
  ShardMap shard_of;
  if (single.ok()) {
    files_.push_back(*std::move(single));
  } else {
    ASSIGN_OR_RETURN(shard_of, ReadIndex(folder_));
    std::set<std::string> names;
    for (const auto& [tensor, name] : shard_of) names.insert(name);
    for (const std::string& name : names) {
      ASSIGN_OR_RETURN(std::unique_ptr<InputFile> file, InputFile::Open(folder_, name));
      files_.push_back(std::move(file));
    }
  }
  Inventory inventory(std::move(shard_of), config_.architecture == Architecture::kModel);
  for (const auto& file : files_) {
    ASSIGN_OR_RETURN(std::vector<SafetensorsEntry> entries, ReadHeader(*file));
    RETURN_IF_ERROR(inventory.AddFile(file->name(), std::move(entries)));
  }
  return TakeTensors(inventory);
}

// Layer by layer, so that a config.json of absurd sizes fails at its first tensor that is not
// there.
absl::Status Checkpoint::TakeTensors(Inventory& inventory) {
  std::vector<TensorSpec> specs = OuterTensors(config_);
  for (int64_t layer = 0;; ++layer) {
    for (const TensorSpec& spec : specs) {
      ASSIGN_OR_RETURN(TensorInfo info, inventory.Take(spec, config_.fp8_weights));
      tensors_.emplace(spec.name, std::move(info));
    }
    if (layer == config_.layers) break;
    specs = LayerTensors(config_, layer);
  }
  return inventory.CheckRest(config_);
}

std::vector<Checkpoint::File> Checkpoint::files() const {
  std::vector<File> files;
  for (const auto& file : files_) files.push_back({file->name(), file->bytes()});
  return files;
}

const TensorInfo& Checkpoint::tensor(absl::string_view name) const {
  auto found = tensors_.find(name);
  CHECK(found != tensors_.end(), absl::StrCat(name, " is a tensor of this model"));
  return found->second;
}

absl::Status Checkpoint::ReadRows(absl::string_view name, int64_t first, int64_t count,
                                  void* out) const {
  const TensorInfo& info = tensor(name);
  CHECK(0 <= first && 0 <= count && count <= info.rows() - first, "rows of the tensor");
  absl::Status status;
  if (info.scale != nullptr) {
    status = ReadFp8Rows(info, first, count, static_cast<float*>(out));
  } else {
    const uint64_t row_bytes = info.row_bytes();
    status = files_[info.file]->ReadAt(info.offset + static_cast<uint64_t>(first) * row_bytes,
                                       static_cast<uint64_t>(count) * row_bytes, out);
  }
  return Annotate(status, absl::StrCat("tensor ", name));
}

// The stored bytes go to the end of `out` and are widened from its beginning on: a value is written
// where those that were read before it lay.
absl::Status Checkpoint::ReadFp8Rows(const TensorInfo& info, int64_t first, int64_t count,
                                     float* out) const {
  if (count == 0) return absl::OkStatus();
  const int64_t columns = info.columns();
  const int64_t values = count * columns;
  uint8_t* stored = reinterpret_cast<uint8_t*>(out) + values * 3;
  RETURN_IF_ERROR(files_[info.file]->ReadAt(info.offset + static_cast<uint64_t>(first * columns),
                                            static_cast<uint64_t>(values), stored));
  const TensorInfo& scale = *info.scale;
  const int64_t first_block = first / kFp8Block;
  const int64_t blocks = (first + count - 1) / kFp8Block + 1 - first_block;
  std::string scale_bytes(static_cast<size_t>(blocks) * scale.row_bytes(), '\0');
  RETURN_IF_ERROR(files_[scale.file]->ReadAt(
      scale.offset + static_cast<uint64_t>(first_block) * scale.row_bytes(), scale_bytes.size(),
      scale_bytes.data()));
  const size_t width = SizeOf(scale.dtype);
  for (int64_t row = 0; row < count; ++row) {
    const int64_t block = (first + row) / kFp8Block - first_block;
    for (int64_t column = 0; column < columns; ++column) {
      const int64_t at = block * scale.columns() + column / kFp8Block;
      const float factor = Widen(scale.dtype, scale_bytes.data() + at * width);
      const int64_t i = row * columns + column;
      const uint8_t bits = stored[i];
      out[i] = F8E4m3ToF32(bits) * factor;
    }
  }
  return absl::OkStatus();
}

absl::Status Checkpoint::ReadPieces(absl::string_view name, std::vector<std::byte>& scratch,
                                    Piece piece, size_t piece_bytes) const {
  const TensorInfo& info = tensor(name);
  CHECK(info.shape.size() == 2, "a matrix");
  const int64_t rows = info.rows();
  const int64_t at_once = std::max<int64_t>(1, piece_bytes / info.row_bytes());
  scratch.resize(static_cast<size_t>(std::min(rows, at_once)) * info.row_bytes());
  for (int64_t first = 0; first < rows; first += at_once) {
    const int64_t count = std::min(at_once, rows - first);
    RETURN_IF_ERROR(ReadRows(name, first, count, scratch.data()));
    piece(first, count, scratch.data());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> Checkpoint::ReadF32(absl::string_view name) const {
  const TensorInfo& info = tensor(name);
  std::string stored(static_cast<size_t>(info.rows()) * info.row_bytes(), '\0');
  RETURN_IF_ERROR(ReadRows(name, 0, info.rows(), stored.data()));
  const size_t width = SizeOf(info.dtype);
  std::vector<float> values(stored.size() / width);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = Widen(info.dtype, stored.data() + i * width);
  }
  return values;
}

std::vector<std::string> Checkpoint::SampledTensors() const {
  std::vector<std::string> sampled = {names::Embedding(), names::FinalNorm()};
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    sampled.push_back(names::InputNorm(layer));
    sampled.push_back(config_.q_lora_rank == 0 ? names::Query(layer) : names::QueryA(layer));
    sampled.push_back(names::KvA(layer));
    sampled.push_back(names::Output(layer));
    if (!config_.is_moe(layer)) {
      sampled.push_back(names::Dense(layer, names::Ffn::kDown));
      continue;
    }
    sampled.push_back(names::Gate(layer));
    sampled.push_back(names::Expert(layer, layer % config_.routed_experts, names::Ffn::kDown));
  }
  return sampled;
}

absl::StatusOr<ModelFingerprint> Checkpoint::Fingerprint() const {
  Hasher128 hasher;
  AddText(hasher, config_text_);
  for (const auto& [name, info] : tensors_) {
    AddText(hasher, name);
    AddNumber(hasher, static_cast<uint64_t>(info.dtype));
    AddNumber(hasher, info.shape.size());
    for (int64_t size : info.shape) AddNumber(hasher, static_cast<uint64_t>(size));
    AddText(hasher, files_[info.file]->name());
    AddNumber(hasher, info.offset);
    if (info.scale == nullptr) continue;
    AddText(hasher, files_[info.scale->file]->name());
    AddNumber(hasher, info.scale->offset);
  }
  const std::vector<std::string> sampled = SampledTensors();
  // Of each tensor, and of its scales.
  const uint64_t bytes_each = std::min(kSampleBytesMax, kFingerprintBytes / sampled.size() / 2);
  for (const std::string& name : sampled) {
    for (const TensorInfo* info = &tensor(name); info != nullptr; info = info->scale.get()) {
      std::string sample(std::min(info->bytes, bytes_each), '\0');
      absl::Status status = files_[info->file]->ReadAt(info->offset, sample.size(), sample.data());
      if (!status.ok()) return Annotate(status, absl::StrCat("tensor ", name));
      AddText(hasher, sample);
    }
  }
  return hasher.Finish();
}

}  // namespace expertmesh
