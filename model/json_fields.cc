#include "model/json_fields.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;

constexpr size_t kExcerptMax = 120;

// Builds the document as the parser walks the text, and stops it where we are stricter than JSON.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Json& document() { return document_; }
  const std::string& error() const { return error_; }

  bool null() override { return Add(nullptr) != nullptr; }
  bool boolean(bool value) override { return Add(value) != nullptr; }
  bool number_integer(int64_t value) override { return Add(value) != nullptr; }
  bool number_unsigned(uint64_t value) override { return Add(value) != nullptr; }
  bool number_float(double value, const std::string&) override { return Add(value) != nullptr; }
  bool string(std::string& value) override { return Add(std::move(value)) != nullptr; }
  bool binary(Json::binary_t&) override { return Stop("binary value"); }

  bool start_object(size_t) override { return Enter(Json::object()); }
  bool end_object() override { return Leave(); }
  bool start_array(size_t) override { return Enter(Json::array()); }
  bool end_array() override { return Leave(); }

  bool key(std::string& name) override {
    if (open_.back()->contains(name)) {
      return Stop(absl::StrCat("key ", Quote(name), " stands there twice"));
    }
    key_ = std::move(name);
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception&) override {
    return Stop(absl::StrCat("not JSON at byte ", position));
  }

 private:
  // Only the innermost open array can grow, so the pointers in open_ stay valid.
  Json* Add(Json value) {
    if (open_.empty()) {
      document_ = std::move(value);
      return &document_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) return &parent.emplace_back(std::move(value));
    return &(parent[key_] = std::move(value));
  }

  bool Enter(Json value) {
    if (open_.size() >= kJsonDepthMax) {
      return Stop(absl::StrCat("nested deeper than ", kJsonDepthMax, " levels"));
    }
    open_.push_back(Add(std::move(value)));
    return true;
  }

  bool Leave() {
    open_.pop_back();
    return true;
  }

  bool Stop(std::string error) {
    error_ = std::move(error);
    return false;
  }

  Json document_;
  std::vector<Json*> open_;
  std::string key_;
  std::string error_;
};

template <typename Number>
std::string Interval(absl::string_view kind, Number min, Number max) {
  if (min == max) return absl::StrCat(min);
  return absl::StrCat(kind, " in [", min, ", ", max, "]");
}

}  // namespace

absl::StatusOr<Json> ParseJsonObject(absl::string_view text) {
  Builder builder;
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return absl::InvalidArgumentError(builder.error());
  }
  if (!builder.document().is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("found ", Excerpt(builder.document()), ", expected a JSON object"));
  }
  return std::move(builder.document());
}

std::string Excerpt(const Json& value) {
  // Containers may be megabytes: their kind says enough.
  if (value.is_object() || value.is_array()) {
    return absl::StrCat("an ", value.type_name(), " of ", value.size());
  }
  if (value.is_string())
    return absl::StrCat("\"", Quote(value.get_ref<const std::string&>()), "\"");
  return value.dump();
}

std::string Quote(absl::string_view name) {
  std::string escaped = absl::CHexEscape(name.substr(0, kExcerptMax));
  return name.size() > kExcerptMax ? absl::StrCat(escaped, "...") : escaped;
}

const Json* JsonFields::Find(const std::string& name) const {
  auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

int64_t JsonFields::Integer(const std::string& name, int64_t min, int64_t max) {
  const Json* value = Find(name);
  // Out of range: an unsigned above int64's, which get<int64_t> would wrap.
  bool fits = value != nullptr && value->is_number_integer() &&
              !(value->is_number_unsigned() && value->get<uint64_t>() > uint64_t{INT64_MAX});
  if (fits) {
    int64_t integer = value->get<int64_t>();
    if (min <= integer && integer <= max) return integer;
  }
  Refuse(name, Interval("an integer", min, max));
  return min;
}

int64_t JsonFields::IntegerOr(const std::string& name, int64_t min, int64_t max, int64_t fallback) {
  return Find(name) == nullptr ? fallback : Integer(name, min, max);
}

int64_t JsonFields::IntegerOrNull(const std::string& name, int64_t min, int64_t max,
                                  int64_t if_null) {
  return Has(name) && Find(name) == nullptr ? if_null : Integer(name, min, max);
}

double JsonFields::Number(const std::string& name, double min, double max) {
  const Json* value = Find(name);
  if (value != nullptr && value->is_number()) {
    double number = value->get<double>();
    if (min <= number && number <= max) return number;
  }
  Refuse(name, Interval("a number", min, max));
  return min;
}

double JsonFields::NumberOr(const std::string& name, double min, double max, double fallback) {
  return Find(name) == nullptr ? fallback : Number(name, min, max);
}

bool JsonFields::BoolOr(const std::string& name, bool fallback) {
  const Json* value = Find(name);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  Refuse(name, "true or false");
  return fallback;
}

std::string JsonFields::Text(const std::string& name) {
  const Json* value = Find(name);
  if (value != nullptr && value->is_string()) return value->get<std::string>();
  Refuse(name, "a string");
  return "";
}

std::string JsonFields::TextOr(const std::string& name, const std::string& fallback) {
  return Find(name) == nullptr ? fallback : Text(name);
}

void JsonFields::Refuse(const std::string& name, absl::string_view expected) {
  auto found = object_.find(name);
  Note(absl::InvalidArgumentError(absl::StrCat("field ", path_, name, ": found ",
                                               found == object_.end() ? "nothing" : Excerpt(*found),
                                               ", expected ", expected)));
}

void JsonFields::Note(const absl::Status& status) {
  if (status_.ok()) status_ = status;
}

}  // namespace expertmesh
