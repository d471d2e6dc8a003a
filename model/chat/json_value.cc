#include "model/chat/json_value.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "model/json_fields.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;
using jinja::Value;

// Builds the value from the inside out, as the parser walks the text.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Value Take() { return std::move(root_); }
  const std::string& error() const { return error_; }

  bool null() override { return Add(Value::None()); }
  bool boolean(bool value) override { return Add(Value::Bool(value)); }
  bool number_integer(int64_t value) override { return Add(Value::Integer(value)); }
  bool number_unsigned(uint64_t value) override {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Stop("an integer of more than 64 bits");
    }
    return Add(Value::Integer(static_cast<int64_t>(value)));
  }
  bool number_float(double value, const std::string&) override { return Add(Value::Float(value)); }
  bool string(std::string& value) override { return Add(Value::Text(std::move(value))); }
  bool binary(Json::binary_t&) override { return Stop("binary value"); }

  bool start_object(size_t) override { return Enter(/*is_object=*/true); }
  bool start_array(size_t) override { return Enter(/*is_object=*/false); }
  bool end_object() override {
    Value object = Value::DictOf(std::move(open_.back().pairs));
    open_.pop_back();
    return Add(std::move(object));
  }
  bool end_array() override {
    Value array = Value::ListOf(std::move(open_.back().items));
    open_.pop_back();
    return Add(std::move(array));
  }

  bool key(std::string& name) override {
    if (!open_.back().keys.insert(name).second) {
      return Stop(absl::StrCat("key ", Quote(name), " stands there twice"));
    }
    open_.back().key = std::move(name);
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception&) override {
    return Stop(absl::StrCat("not JSON at byte ", position));
  }

 private:
  // An array or object that awaits its end; only one of items and pairs is used.
  struct Open {
    std::vector<Value> items;
    Value::Pairs pairs;
    std::string key;  // of the value to come
    absl::flat_hash_set<std::string> keys;
    bool is_object = false;
  };

  bool Add(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_object) {
      open_.back().pairs.emplace_back(Value::Text(std::move(open_.back().key)), std::move(value));
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }

  bool Enter(bool is_object) {
    if (open_.size() >= kJsonDepthMax) {
      return Stop(absl::StrCat("nested deeper than ", kJsonDepthMax, " levels"));
    }
    open_.emplace_back().is_object = is_object;
    return true;
  }

  bool Stop(std::string error) {
    error_ = std::move(error);
    return false;
  }

  Value root_;
  std::vector<Open> open_;
  std::string error_;
};

}  // namespace

absl::StatusOr<Value> ParseJsonValue(absl::string_view text) {
  Builder builder;
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return absl::InvalidArgumentError(builder.error());
  }
  return builder.Take();
}

}  // namespace expertmesh
