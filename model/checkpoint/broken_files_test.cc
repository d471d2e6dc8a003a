// Broken for what lies in the folder, and for headers of safetensors that do not describe the file.
#include "model/checkpoint/test_util.h"

namespace expertmesh::broken {
namespace {

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;

// A header of one tensor with this description.
Damage Entry(const std::string& description, size_t data_bytes = 0) {
  return Header(R"({"a": )" + description + "}", data_bytes);
}

}  // namespace

Cases FileCases() {
  return {
      {"no weights", Remove(kModel),
       "found neither model.safetensors nor model.safetensors.index.json", kNotFound},
      {"empty weights", Text(kModel, ""), "model.safetensors: not safetensors: found 0 bytes"},
      {"seven bytes", Text(kModel, "1234567"), "model.safetensors: not safetensors: found 7 bytes"},
      {"a git lfs pointer", Text(kModel, "version https://git-lfs.github.com/spec/v1"),
       "model.safetensors: not safetensors: found a header length of"},
      {"weights that are a folder", Folder(kModel), "model.safetensors: expected a regular file"},
      {"weights that are a pipe", Pipe(kModel), "model.safetensors: expected a regular file"},
      {"a link to a folder", Link(kModel, "."), "model.safetensors: expected a regular file"},
      {"a link to a device", Link(kModel, "/dev/null"),
       "model.safetensors: expected a regular file"},
      {"a dangling link", Link(kModel, "../blobs/gone"),
       "model.safetensors: found a link that leads nowhere, expected a regular file"},
      {"a link to itself", Link(kModel, kModel),
       "model.safetensors: found a link that leads nowhere"},
      {"a link to a file that is none of safetensors", Link(kModel, kConfig),
       "model.safetensors: not safetensors: found a header length of"},
      {"cut off in the data",
       [](const CheckpointFolder& f) { CutTo(kModel, f.Read(kModel).size() - 1)(f); },
       "bytes of data (is the file cut off?)"},
      {"cut off in the header", CutTo(kModel, 100),
       "model.safetensors: not safetensors: found a header length of"},
      {"bytes after the data",
       [](const CheckpointFolder& f) { f.Write(kModel, f.Read(kModel) + "x"); },
       "model.safetensors: the tensors end at byte"},
      {"weights of another framework", Both(Remove(kModel), Text("pytorch_model.bin", "PK")),
       "found neither model.safetensors nor model.safetensors.index.json", kNotFound},
      {"shards without their index",
       [](const CheckpointFolder& f) {
         std::filesystem::rename(f.File(kModel), f.File("model-00001-of-000001.safetensors"));
       },
       "found neither model.safetensors nor model.safetensors.index.json", kNotFound},
  };
}

Cases HeaderCases() {
  return {
      {"a header of spaces", [](const CheckpointFolder& f) { f.Overwrite(kModel, 8, " "); },
       "model.safetensors: header: not JSON at byte"},
      {"a length of all ones", Text(kModel, std::string(16, '\xff')),
       "not safetensors: found a header length of 18446744073709551615, expected at most 8"},
      {"a header of nothing", Header("", 8), "model.safetensors: header: not JSON at byte"},
      {"a header that is a list", Header("[]"), "header: found an array of 0, expected a JSON"},
      {"a header that is pickled", Header("\x80\x04\x95"), "header: not JSON at byte"},
      {"the same tensor twice",
       Header(R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},)"
              R"( "a": {"dtype": "F32", "shape": [], "data_offsets": [4, 8]}})",
              8),
       "model.safetensors: header: key a stands there twice"},
      {"a tensor that is a number", Entry("4"), "tensor a: found 4, expected an object"},
      {"no dtype", Entry(R"({"shape": [1], "data_offsets": [0, 4]})", 4),
       "tensor a: expected a string in field dtype"},
      {"no shape", Entry(R"({"dtype": "F32", "data_offsets": [0, 4]})", 4),
       "tensor a: expected a list in field shape"},
      {"no offsets", Entry(R"({"dtype": "F32", "shape": [1]})", 4),
       "tensor a: expected a list in field data_offsets"},
      {"a negative size", Entry(R"({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]})", 4),
       "tensor a: found -1 in field shape, expected integers from 0 to"},
      {"a size with a fraction",
       Entry(R"({"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]})", 4),
       "tensor a: found 1.0 in field shape, expected integers"},
      {"offsets backwards", Entry(R"({"dtype": "F32", "shape": [1], "data_offsets": [4, 0]})", 4),
       "tensor a: expected data_offsets of a begin and an end not before it"},
      {"three offsets", Entry(R"({"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]})", 4),
       "tensor a: expected data_offsets of a begin and an end"},
      {"a shape beyond 64 bits",
       Entry(R"({"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 0]})"),
       "tensor a: the shape's product overflows 64 bits"},
      {"half a byte", Entry(R"({"dtype": "F4", "shape": [1], "data_offsets": [0, 0]})"),
       "tensor a: the shape does not fill whole bytes"},
      {"metadata of numbers", Header(R"({"__metadata__": {"format": 1}})"),
       "model.safetensors: field __metadata__: expected an object of strings"},
      {"a gap",
       Header(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},)"
              R"( "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}})",
              12),
       "expected 135 (a gap before it)"},
      {"all in one place",
       Header(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},)"
              R"( "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})",
              4),
       "(overlaps the tensor before it)"},
  };
}

Cases ShardCases() {
  const std::string norm = "model.norm.weight", in_map = "/weight_map/model.norm.weight";
  const Cases of_the_index = {
      {"an index that is no JSON", Text(kIndex, "{"),
       "model.safetensors.index.json: not JSON at byte"},
      {"an empty index", Text(kIndex, ""), "model.safetensors.index.json: not JSON at byte"},
      {"an index that is a folder", Folder(kIndex),
       "model.safetensors.index.json: expected a regular file"},
      {"an index that is a dangling link", Link(kIndex, "gone"),
       "model.safetensors.index.json: found a link that leads nowhere"},
      {"a tensor twice in the map", Text(kIndex, R"({"weight_map": {"a": "x", "a": "y"}})"),
       "model.safetensors.index.json: key a stands there twice"},
      {"no weight_map", Text(kIndex, R"({"metadata": {}})"),
       "model.safetensors.index.json: field weight_map: found nothing, expected an object"},
      {"an empty weight_map", Text(kIndex, R"({"weight_map": {}})"),
       "field weight_map: found an object of 0"},
      {"a file that is a number", Field(kIndex, in_map, 1),
       "tensor model.norm.weight: found file 1, expected the name of a .safetensors file"},
      {"a path upwards", Field(kIndex, in_map, "../x.safetensors"),
       R"(found file "../x.safetensors", expected)"},
      {"an absolute path", Field(kIndex, in_map, "/x.safetensors"),
       R"(found file "/x.safetensors", expected)"},
      {"a path with a NUL", Field(kIndex, in_map, std::string("x\0.safetensors", 14)),
       R"(found file "x\x00.safetensors", expected)"},
      {"another format", Field(kIndex, in_map, "pytorch_model.bin"),
       R"(found file "pytorch_model.bin", expected)"},
      {"a tensor that the map lacks",
       [=](const CheckpointFolder& f) {
         f.EditJson(kIndex, [&](Json& json) { json["weight_map"].erase(norm); });
       },
       "model.safetensors.index.json: tensor model.norm.weight: found nothing in weight_map"},
      {"a tensor in another shard", Field(kIndex, in_map, kShard2),
       "model-00002-of-000002.safetensors: tensor model.norm.weight: found it in "
       "model-00001-of-000002.safetensors, expected it here"},
  };
  const Cases of_the_shards = {
      {"a shard is missing", Remove(kShard2), kShard2, kNotFound},
      {"a shard that is a dangling link", Link(kShard2, "../../blobs/gone"),
       "model-00002-of-000002.safetensors: found a link that leads nowhere"},
      {"a shard that is a folder", Folder(kShard2),
       "model-00002-of-000002.safetensors: expected a regular file"},
      {"a shard that is a pipe", Pipe(kShard1),
       "model-00001-of-000002.safetensors: expected a regular file"},
      {"an empty shard", Text(kShard2, ""),
       "model-00002-of-000002.safetensors: not safetensors: found 0 bytes"},
      {"a shard that is another", Link(kShard2, kShard1),
       "model-00002-of-000002.safetensors: tensor"},
      {"a tensor that no shard has",
       [=](const CheckpointFolder& f) { f.DropTensor(kShard1, norm); },
       "model-00001-of-000002.safetensors: tensor model.norm.weight: found nothing, expected "
       "shape"},
      {"a tensor that two shards have",
       [=](const CheckpointFolder& f) { f.AddTensor(kShard2, norm, "BF16", {48}); },
       "model-00002-of-000002.safetensors: tensor model.norm.weight: found it in "
       "model-00001-of-000002.safetensors too"},
      {"a shard is damaged", [](const CheckpointFolder& f) { f.Overwrite(kShard2, 9, "x"); },
       "model-00002-of-000002.safetensors: header: not JSON at byte"},
      {"an unknown tensor in a shard",
       [](const CheckpointFolder& f) { f.AddTensor(kShard2, "model.extra", "BF16", {2}); },
       "model-00002-of-000002.safetensors: tensor model.extra: found shape [2]"},
  };
  return Of({.shards = 2}, SmallModelConfig(), Joined({of_the_index, of_the_shards}));
}

}  // namespace expertmesh::broken
