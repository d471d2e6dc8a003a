// checkpoint.h: a published checkpoint folder: config.json and safetensors, checked before use.
//
// Open reads headers only. Every offset, shape and dtype is checked against the file's real size
// and against the config, so that what Open accepts can be read. Data is read with pread, tensor by
// tensor (or some rows of one), never the whole file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/dtype.h"
#include "common/ids.h"
#include "model/config.h"

namespace expertmesh {

class InputFile;
class Inventory;

struct TensorInfo {
  DType dtype =
      DType::kF32;  // as it is read: kF32, kBf16 or kF16; may differ from tensor to tensor
  std::vector<int64_t> shape;
  int file = 0;         // index into the checkpoint's files
  uint64_t offset = 0;  // of the first byte, in the file; not always a multiple of the dtype's size
  uint64_t bytes = 0;   // in the file
  // Of a matrix stored as F8_E4M3, which is read as f32: its scales, [ceil(rows / kFp8Block),
  // ceil(columns / kFp8Block)]. A weight is its fp8 value times the scale of its block, rounded
  // once.
  std::shared_ptr<const TensorInfo> scale;

  int64_t rows() const { return shape.size() < 2 ? 1 : shape[0]; }
  int64_t columns() const { return shape.back(); }
  // Of a row as it is read.
  uint64_t row_bytes() const { return static_cast<uint64_t>(columns()) * SizeOf(dtype); }
};

class Checkpoint {
 public:
  // `folder` holds config.json and either model.safetensors or model.safetensors.index.json with
  // the shards that its weight_map names (names inside the folder only; model.safetensors wins
  // where both are). The eos ids of generation_config.json, if there is one, replace config.json's.
  //
  // Each tensor of RequiredTensors must be there, with its shape, in f32, bf16 or f16; a matrix of
  // a model whose quantization_config says so may be in fp8, with its <name>_scale_inv. The experts
  // of a layer may be three tensors each, or two for all of them (names::FusedGateUp). A bare
  // model's names may lack `model.`. Of the rest, what the main model does not read is ignored:
  // layers from num_hidden_layers on (draft layers), *.rotary_emb.inv_freq, the lm_head.weight of a
  // tied model or of one without that head, and names outside `model.` and `lm_head.` (and `score.`
  // of a classifier). Anything else (a bias, a scale) would change the numbers, and is refused by
  // name.
  //
  // Errors  NOT_FOUND: a file is missing; INVALID_ARGUMENT: file, tensor or field, expected, found;
  //         DATA_LOSS: a header cannot be read; else what errno says.
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Open(absl::string_view folder);

  // What the folder says of its model, whether or not it has weights: config.json, with the eos ids
  // as above.
  // Errors  as of Open.
  static absl::StatusOr<ModelConfig> ReadConfig(absl::string_view folder);

  ~Checkpoint();
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  const ModelConfig& config() const { return config_; }
  const std::string& folder() const { return folder_; }

  // The files that hold the weights, and their sizes when they were opened.
  struct File {
    std::string name;
    uint64_t bytes = 0;
  };
  std::vector<File> files() const;

  // A tensor of RequiredTensors; CHECKs that it is one (Open has checked that it is there).
  const TensorInfo& tensor(absl::string_view name) const;

  // Rows [first, first + count) of a matrix (a vector is one row) into `out` (count *
  // row_bytes()). Any thread.
  // Errors  DATA_LOSS: the file ended early or cannot be read; file and tensor are named.
  absl::Status ReadRows(absl::string_view name, int64_t first, int64_t count, void* out) const;

  // All rows of a matrix, in order, at most `piece_bytes` (or one row) at a time, read into
  // `scratch`.
  // Errors  as ReadRows; `piece` was called for what came before.
  using Piece = absl::FunctionRef<void(int64_t first, int64_t count, const std::byte* rows)>;
  absl::Status ReadPieces(absl::string_view name, std::vector<std::byte>& scratch, Piece piece,
                          size_t piece_bytes = size_t{1} << 20) const;

  // The whole tensor widened to f32: for norms and other small ones.
  absl::StatusOr<std::vector<float>> ReadF32(absl::string_view name) const;

  // Hash of config.json's text, every tensor's name, dtype, shape and place, and the first bytes of
  // a fixed few tensors, some in each layer, one routed expert among them. Reads at most
  // kFingerprintBytes of data. The same folder's copy on another machine has the same fingerprint.
  absl::StatusOr<ModelFingerprint> Fingerprint() const;
  static constexpr uint64_t kFingerprintBytes = uint64_t{4} << 20;

 private:
  Checkpoint();

  absl::Status TakeConfig();
  absl::Status OpenFiles();
  absl::Status TakeTensors(Inventory& inventory);
  absl::Status ReadFp8Rows(const TensorInfo& info, int64_t first, int64_t count, float* out) const;
  std::vector<std::string> SampledTensors() const;

  std::string folder_;
  ModelConfig config_;
  std::string config_text_;
  std::vector<std::unique_ptr<InputFile>> files_;
  std::map<std::string, TensorInfo, std::less<>> tensors_;
};

}  // namespace expertmesh
