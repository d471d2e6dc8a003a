#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/inspect/report.h"
#include "cli/inspect/words.h"
#include "cli/text/numbers.h"
#include "cli/text/table.h"
#include "model/json_fields.h"

namespace expertmesh {
namespace {

constexpr TableStyle kStyle{.gap = 3, .right = true};
constexpr size_t kLabelsShown = 8;

std::string Line(absl::string_view subject, absl::string_view text) {
  return absl::StrCat(subject, std::string(12 - subject.size(), ' '), text, "\n");
}

std::string LabelsOf(const ModelConfig& config) {
  std::vector<std::string> shown;
  for (size_t i = 0; i < std::min(config.labels.size(), kLabelsShown); ++i) {
    shown.push_back(Quote(config.labels[i]));
  }
  return absl::StrCat(config.labels.size(), ": ", absl::StrJoin(shown, ", "),
                      config.labels.size() > kLabelsShown ? ", ..." : "");
}

std::string ModelLines(const Inspection& inspection) {
  const ModelConfig& c = inspection.config;
  std::string text = absl::StrCat(inspection.folder, ": ", ArchitectureName(inspection), "\n\n");
  text +=
      Line("layers", absl::StrCat(c.layers, " (", c.layers - c.moe_layers(), " dense, ",
                                  c.moe_layers(), " with experts), hidden ", c.hidden,
                                  ", vocabulary ", c.vocabulary, ", positions ", c.max_position));
  text +=
      Line("attention",
           absl::StrCat(c.heads, " heads of ", c.qk_nope_dim, " + ", c.qk_rope_dim, " (values ",
                        c.v_dim, "), kv_lora ", c.kv_lora_rank, ", ",
                        c.q_lora_rank == 0 ? "no q_lora" : absl::StrCat("q_lora ", c.q_lora_rank),
                        c.attention_bias ? ", with biases" : ""));
  text += Line("rope",
               absl::StrCat(RopeName(c), ", theta ", c.rope_theta,
                            c.yarn.has_value() ? absl::StrCat(", factor ", c.yarn->factor, " over ",
                                                              c.yarn->original_max_position)
                                               : "",
                            c.rope_divisor != 1 ? absl::StrCat(", factor ", c.rope_divisor) : "",
                            ", softmax scale ", SoftmaxScale(c)));
  const bool grouped = c.groups > 1;
  text += Line(
      "gate",
      absl::StrCat(MethodName(c.gate_method), " by ", ScoresName(c.gate_method), ": ", c.top_k,
                   " of ", c.routed_experts, " experts",
                   grouped ? absl::StrCat(" in ", c.groups_kept, " of ", c.groups, " groups") : "",
                   ", x ", c.routed_scaling, c.renormalise_gate ? ", renormalised" : "", "; ",
                   c.shared_experts, " shared"));
  if (!c.labels.empty()) text += Line("labels", LabelsOf(c));
  text += Line("text", !inspection.has_tokenizer      ? "no tokenizer here"
                       : inspection.has_chat_template ? "tokenizer and chat template"
                                                      : "tokenizer, no chat template");
  return text;
}

std::string WeightLines(const Inspection& inspection) {
  std::vector<std::string> dtypes;
  for (const auto& [dtype, count] : inspection.holdings.tensors_by_dtype) {
    dtypes.push_back(absl::StrCat(Grouped(count), " ", dtype));
  }
  const std::string names = absl::StrCat(Grouped(inspection.census.tensors), " tensors");
  const std::string kinds = absl::StrCat("(", absl::StrJoin(dtypes, ", "), ")");
  if (!inspection.has_weights) {
    return Line("weights", absl::StrCat("no weights here; the bytes below are of ", names,
                                        " as published ", kinds));
  }
  uint64_t bytes = 0;
  for (const Checkpoint::File& file : inspection.files) bytes += file.bytes;
  const size_t files = inspection.files.size();
  return Line("weights", absl::StrCat("complete: ", names, " ", kinds, " in ", files,
                                      files == 1 ? " file, " : " files, ", InBytes(bytes)));
}

std::string SizeTable(const Inspection& inspection) {
  const Census& census = inspection.census;
  const Holdings& holdings = inspection.holdings;
  std::vector<TableRow> rows = {
      {"", "PARAMETERS", inspection.has_weights ? "STORED" : "STORED (assumed)", "IN CPU-F32"}};
  for (int i = 0; i < kTensorRoles; ++i) {
    const auto role = static_cast<TensorRole>(i);
    if (holdings.stored.of(role) == 0) continue;
    rows.push_back({std::string(Name(role)), Grouped(census.of(role)),
                    InBytes(holdings.stored.of(role)), InBytes(holdings.packed.of(role))});
  }
  rows.push_back({"all", Grouped(census.total), InBytes(holdings.stored.total()),
                  InBytes(holdings.packed.total())});
  if (census.routed_experts > 0) {
    rows.push_back({absl::StrCat("one of ", Grouped(census.routed_experts), " experts"),
                    Grouped(census.per_expert), InBytes(holdings.stored.expert),
                    InBytes(holdings.packed.expert)});
  }
  return absl::StrCat(Table(rows, kStyle), "a token meets ", Grouped(census.active),
                      " parameters (", InBillions(census.active), " of ", InBillions(census.total),
                      ")\n");
}

std::string WorkerLines(const Inspection& inspection) {
  const int64_t elements = LatentElementsPerToken(inspection.config);
  std::string text = absl::StrCat("cache of a token: ", Grouped(elements), " elements, ",
                                  Grouped(elements * 4), " bytes in f32 as cpu-f32 keeps it (",
                                  Grouped(elements * 2), " in bf16)\nan attention worker holds ",
                                  InBytes(inspection.attention_weight_bytes()), " of weights, and ",
                                  InBytes(inspection.cache_bytes_per_token() * 1000),
                                  " of cache for each 1,000 tokens\n");
  std::vector<TableRow> rows = {{"EXPERT WORKERS", "EXPERTS EACH", "WEIGHTS EACH"}};
  for (const ExpertShare& share : ExpertShares(inspection)) {
    rows.push_back({absl::StrCat(share.workers), Grouped(share.experts), InBytes(share.bytes)});
  }
  if (rows.size() == 1) return text + "no routed experts: no expert workers\n";
  return absl::StrCat(text, "\n", Table(rows, kStyle));
}

}  // namespace

std::string ToText(const Inspection& inspection) {
  return absl::StrCat(ModelLines(inspection), WeightLines(inspection), "\n", SizeTable(inspection),
                      "\n", WorkerLines(inspection));
}

}  // namespace expertmesh
