#include "model/tokenizer/pre_tokenizer.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/utf8.h"
#include "model/json_fields.h"
#include "model/tokenizer/unicode.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;

absl::StatusOr<SplitPattern> ParseSplit(const Json& json, const std::string& field) {
  JsonFields fields(json, field + ".");
  if (fields.TextOr("behavior", "") != "Isolated") fields.Refuse("behavior", "\"Isolated\"");
  if (fields.BoolOr("invert", false)) fields.Refuse("invert", "false");
  const Json* pattern = fields.Find("pattern");
  const bool regex = pattern != nullptr && pattern->is_object() && pattern->size() == 1 &&
                     pattern->contains("Regex") && (*pattern)["Regex"].is_string();
  if (!regex) fields.Refuse("pattern", "an object with the string Regex");
  RETURN_IF_ERROR(fields.status());
  const std::string& text = (*pattern)["Regex"].get_ref<const std::string&>();
  absl::StatusOr<SplitPattern> parsed = SplitPattern::Parse(text);
  if (parsed.ok()) return parsed;
  return Annotate(parsed.status(),
                  absl::StrCat("field ", field, ".pattern.Regex: \"", Quote(text), "\""));
}

absl::Status CheckByteLevel(const Json& json, const std::string& field, bool last) {
  JsonFields fields(json, field + ".");
  if (!last) fields.Refuse("type", "ByteLevel at the end alone");
  if (fields.BoolOr("add_prefix_space", true)) fields.Refuse("add_prefix_space", "false");
  if (fields.BoolOr("use_regex", true)) fields.Refuse("use_regex", "false");
  return fields.status();
}

// Calls `between` and `match` with the parts of text, in order.
template <typename Matches, typename Part>
void ForEachPart(absl::string_view text, Matches&& next, Part&& part) {
  size_t done = 0;
  while (const std::optional<TextSpan> match = next()) {
    if (match->begin > done) part(text.substr(done, match->begin - done));
    part(text.substr(match->begin, match->end - match->begin));
    done = match->end;
  }
  if (done < text.size()) part(text.substr(done));
}

// Every digit is a match of its own.
std::optional<TextSpan> NextDigit(const CharSet& numeric, absl::string_view text, size_t& at) {
  while (at < text.size()) {
    const size_t begin = at;
    const Utf8Char character = Utf8At(text, begin);
    at += static_cast<size_t>(character.bytes);
    if (numeric.Has(character.code)) return TextSpan{begin, at};
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<PreTokenizer> PreTokenizer::Parse(const Json& tokenizer) {
  JsonFields fields(tokenizer);
  const Json* json = fields.Find("pre_tokenizer");
  if (json == nullptr || !json->is_object()) {
    fields.Refuse("pre_tokenizer", "an object");
    return fields.status();
  }
  PreTokenizer result;
  JsonFields inner(*json, "pre_tokenizer.");
  if (inner.TextOr("type", "") != "Sequence") {
    RETURN_IF_ERROR(result.AddStep(*json, "pre_tokenizer", /*last=*/true));
    return result;
  }
  const Json* list = inner.Find("pretokenizers");
  if (list == nullptr || !list->is_array() || list->empty() ||
      list->size() > kPreTokenizerStepsMax) {
    inner.Refuse("pretokenizers", absl::StrCat("an array of 1 to ", kPreTokenizerStepsMax));
    return inner.status();
  }
  for (size_t i = 0; i < list->size(); ++i) {
    RETURN_IF_ERROR(result.AddStep((*list)[i], absl::StrCat("pre_tokenizer.pretokenizers[", i, "]"),
                                   i + 1 == list->size()));
  }
  return result;
}

absl::Status PreTokenizer::AddStep(const Json& json, const std::string& field, bool last) {
  if (!json.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("field ", field, ": found ", Excerpt(json), ", expected an object"));
  }
  JsonFields fields(json, field + ".");
  const std::string type = fields.TextOr("type", "");
  if (type == "ByteLevel") return CheckByteLevel(json, field, last);
  if (last) {
    fields.Refuse("type", "\"ByteLevel\" at the end");
  } else if (type == "Split") {
    ASSIGN_OR_RETURN(SplitPattern pattern, ParseSplit(json, field));
    steps_.emplace_back(std::move(pattern));
  } else if (type == "Digits") {
    if (!fields.BoolOr("individual_digits", false)) fields.Refuse("individual_digits", "true");
    ASSIGN_OR_RETURN(CharRanges numeric, NumericRanges());
    steps_.emplace_back(Digits{CharSet(std::move(numeric))});
  } else {
    fields.Refuse("type", "Split, Digits or ByteLevel");
  }
  return fields.status();
}

absl::Status PreTokenizer::Split(absl::string_view text, StepBudget& budget, Sink piece) const {
  RunFrom(0, text, budget, piece);
  if (budget.left > 0) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      "this text takes the pre-tokenizer more than linear time; its patterns are to blame");
}

void PreTokenizer::RunFrom(size_t step, absl::string_view text, StepBudget& budget,
                           Sink piece) const {
  if (text.empty()) return;
  if (step == steps_.size()) {
    piece(text);
    return;
  }
  const auto go_on = [&](absl::string_view part) { RunFrom(step + 1, part, budget, piece); };
  if (const auto* pattern = std::get_if<SplitPattern>(&steps_[step])) {
    SplitPattern::Matches matches(*pattern, text, budget);
    ForEachPart(
        text, [&] { return matches.Next(); }, go_on);
  } else {
    size_t at = 0;
    const CharSet& numeric = std::get<Digits>(steps_[step]).numeric;
    ForEachPart(
        text, [&] { return NextDigit(numeric, text, at); }, go_on);
  }
}

}  // namespace expertmesh
