#include "model/jinja/names.h"

#include <algorithm>
#include <iterator>

namespace expertmesh::jinja {
namespace {

template <typename Enumerator>
constexpr Signature Make(absl::string_view name, Enumerator id, uint8_t required = 0,
                         std::array<absl::string_view, 4> parameters = {}) {
  return {name, static_cast<uint8_t>(id), required, parameters};
}

constexpr Signature kFilters[] = {
    Make("trim", Filter::kTrim, 0, {"chars"}),
    Make("length", Filter::kLength),
    Make("count", Filter::kLength),
    Make("tojson", Filter::kToJson, 0, {"ensure_ascii", "indent", "separators", "sort_keys"}),
    Make("join", Filter::kJoin, 0, {"d"}),
    Make("default", Filter::kDefault, 0, {"default_value", "boolean"}),
    Make("d", Filter::kDefault, 0, {"default_value", "boolean"}),
    Make("first", Filter::kFirst),
    Make("last", Filter::kLast),
    Make("upper", Filter::kUpper),
    Make("lower", Filter::kLower),
    Make("replace", Filter::kReplace, 2, {"old", "new", "count"}),
    Make("string", Filter::kString),
    Make("int", Filter::kInt, 0, {"default"}),
    Make("list", Filter::kList),
    Make("safe", Filter::kSafe),
    Make("e", Filter::kEscape),
    Make("escape", Filter::kEscape),
};

constexpr Signature kTests[] = {
    Make("defined", Test::kDefined),
    Make("undefined", Test::kUndefined),
    Make("none", Test::kNone),
    Make("string", Test::kString),
    Make("mapping", Test::kMapping),
    Make("iterable", Test::kIterable),
    Make("sequence", Test::kSequence),
    Make("true", Test::kTrue),
    Make("false", Test::kFalse),
    Make("boolean", Test::kBoolean),
    Make("number", Test::kNumber),
    Make("integer", Test::kInteger),
    Make("float", Test::kFloat),
    Make("odd", Test::kOdd),
    Make("even", Test::kEven),
    Make("divisibleby", Test::kDivisibleBy, 1, {"num"}),
    Make("in", Test::kIn, 1, {"seq"}),
    Make("eq", Test::kEqual, 1, {"b"}),
    Make("equalto", Test::kEqual, 1, {"b"}),
    Make("ne", Test::kNotEqual, 1, {"b"}),
    Make("lt", Test::kLess, 1, {"b"}),
    Make("lessthan", Test::kLess, 1, {"b"}),
    Make("le", Test::kLessEqual, 1, {"b"}),
    Make("gt", Test::kGreater, 1, {"b"}),
    Make("greaterthan", Test::kGreater, 1, {"b"}),
    Make("ge", Test::kGreaterEqual, 1, {"b"}),
};

constexpr Signature kMethods[] = {
    Make("split", Method::kSplit, 0, {"sep", "maxsplit"}),
    Make("strip", Method::kStrip, 0, {"chars"}),
    Make("lstrip", Method::kLStrip, 0, {"chars"}),
    Make("rstrip", Method::kRStrip, 0, {"chars"}),
    Make("startswith", Method::kStartsWith, 1, {"prefix"}),
    Make("endswith", Method::kEndsWith, 1, {"suffix"}),
    Make("upper", Method::kUpper),
    Make("lower", Method::kLower),
    Make("replace", Method::kReplace, 2, {"old", "new", "count"}),
    Make("items", Method::kItems),
    Make("keys", Method::kKeys),
    Make("values", Method::kValues),
    Make("get", Method::kGet, 1, {"key", "default"}),
};

// namespace() and dict() take names of the caller's choosing, too.
constexpr Signature kFunctions[] = {
    Make("namespace", Function::kNamespace, 0, {"mapping"}),
    Make("dict", Function::kDict, 0, {"mapping"}),
    Make("range", Function::kRange, 1, {"start", "stop", "step"}),
    Make("raise_exception", Function::kRaiseException, 1, {"message"}),
};

template <typename Table>
const Signature* FindIn(const Table& table, absl::string_view name) {
  const auto found =
      std::find_if(std::begin(table), std::end(table), [name](auto& s) { return s.name == name; });
  return found == std::end(table) ? nullptr : found;
}

template <typename Table>
bool Contains(const Table& table, absl::string_view name) {
  return std::find(std::begin(table), std::end(table), name) != std::end(table);
}

constexpr absl::string_view kFunctionNames[] = {
    "namespace", "dict", "range", "raise_exception", "strftime_now", "cycler", "joiner", "lipsum"};

constexpr absl::string_view kTextMethods[] = {
    "capitalize",   "casefold",    "center",    "count",      "encode",       "endswith",
    "expandtabs",   "find",        "format",    "format_map", "index",        "isalnum",
    "isalpha",      "isascii",     "isdecimal", "isdigit",    "isidentifier", "islower",
    "isnumeric",    "isprintable", "isspace",   "istitle",    "isupper",      "join",
    "ljust",        "lower",       "lstrip",    "maketrans",  "partition",    "removeprefix",
    "removesuffix", "replace",     "rfind",     "rindex",     "rjust",        "rpartition",
    "rsplit",       "rstrip",      "split",     "splitlines", "startswith",   "strip",
    "swapcase",     "title",       "translate", "upper",      "zfill"};

constexpr absl::string_view kListMethods[] = {"append", "clear",   "copy",   "count",
                                              "extend", "index",   "insert", "pop",
                                              "remove", "reverse", "sort"};

constexpr absl::string_view kDictMethods[] = {"clear",      "copy",   "fromkeys", "get",
                                              "items",      "keys",   "pop",      "popitem",
                                              "setdefault", "update", "values"};

constexpr absl::string_view kLoopAttributes[] = {
    "index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem"};

}  // namespace

const Signature* FindFilter(absl::string_view name) { return FindIn(kFilters, name); }
const Signature* FindTest(absl::string_view name) { return FindIn(kTests, name); }
const Signature* FindMethod(absl::string_view name) { return FindIn(kMethods, name); }
const Signature* FindFunction(absl::string_view name) { return FindIn(kFunctions, name); }

bool IsFunctionName(absl::string_view name) { return Contains(kFunctionNames, name); }
bool IsTextMethod(absl::string_view name) { return Contains(kTextMethods, name); }
bool IsListMethod(absl::string_view name) { return Contains(kListMethods, name); }
bool IsDictMethod(absl::string_view name) { return Contains(kDictMethods, name); }

LoopAttribute FindLoopAttribute(absl::string_view name) {
  const auto found = std::find(std::begin(kLoopAttributes), std::end(kLoopAttributes), name);
  return static_cast<LoopAttribute>(found - std::begin(kLoopAttributes));
}

}  // namespace expertmesh::jinja
