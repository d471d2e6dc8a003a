#include "model/jinja/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace expertmesh::jinja {
namespace {

using testing::HasSubstr;

Value Variables() {
  return Value::DictOf({{Value::Text("s"), Value::Text("text")},
                        {Value::Text("d"), Value::DictOf({{Value::Text("a"), Value::Integer(1)}})},
                        {Value::Text("n"), Value::Integer(7)}});
}

absl::StatusOr<std::string> Render(absl::string_view source, const Limits& limits = {}) {
  const absl::StatusOr<Template> parsed = Template::Parse(source);
  if (!parsed.ok()) return parsed.status();
  return parsed->Render(Variables(), limits);
}

std::string Repeated(int times, absl::string_view text) {
  std::string out;
  for (int i = 0; i < times; ++i) absl::StrAppend(&out, text);
  return out;
}

TEST(Template, RefusesWhatIsNotSupportedAtOnceWithItsPlaceAndName) {
  const std::pair<const char*, const char*> kCases[] = {
      {"{% macro f() %}{% endmacro %}", "line 1, column 4: unsupported statement 'macro'"},
      {"a\nb {% include 'x' %}", "line 2, column 6: unsupported statement 'include'"},
      {"{% import 'x' as y %}", "unsupported statement 'import'"},
      {"{% call f() %}{% endcall %}", "unsupported statement 'call'"},
      {"{% filter trim %}{% endfilter %}", "unsupported statement 'filter'"},
      {"{% block x %}{% endblock %}", "unsupported statement 'block'"},
      {"{% with %}{% endwith %}", "unsupported statement 'with'"},
      {"{% do x %}", "unsupported statement 'do'"},
      {"{{ x | map('y') }}", "line 1, column 8: unsupported filter 'map'"},
      {"{{ x | selectattr('y') }}", "unsupported filter 'selectattr'"},
      {"{{ x is callable }}", "line 1, column 9: unsupported test 'callable'"},
      {"{{ x.append(1) }}", "line 1, column 6: unsupported method 'append'"},
      {"{{ x.format(1) }}", "unsupported method 'format'"},
      {"{{ cycler(1) }}", "line 1, column 4: unsupported function 'cycler'"},
      {"{{ strftime_now('%Y') }}", "unsupported function 'strftime_now'"},
      {"{{ strftime_now is defined }}", "unsupported: function 'strftime_now' as a value"},
      {"{{ x.__class__ }}", "unsupported attribute '__class__'"},
      {"{{ 2 ** 3 }}", "line 1, column 6: unsupported operator **"},
      {"{{ (x)(1) }}", "unsupported"},
      {"{{ f(*x) }}", "unsupported function 'f'"},
      {"{{ dict(**x) }}", "unsupported: * and ** of arguments"},
      {"{% for x in y recursive %}{% endfor %}", "unsupported: a recursive for"},
      {"{% for x in y %}{{ loop }}{% endfor %}", "unsupported: 'loop' as a value"},
      {"{% for x in y %}{{ loop.cycle(1) }}{% endfor %}", "unsupported: 'loop.cycle'"},
      {"{% for x in y if loop.first %}{% endfor %}", "'loop' in the filter of a for"},
      {"{{ x | safe | trim }}", "filters safe and escape"},
      {"{% set x = y | e %}", "filters safe and escape"},
      {"{{ x | tojson(cls=1) }}", "argument 'cls' of filter 'tojson' is not supported"},
      {"{{ x | join('', attribute='y') }}", "argument 'attribute' of filter 'join'"},
      {"{{ '\\N{DASH}' }}", "\\N{name} is not supported"},
  };
  for (const auto& [source, message] : kCases) {
    const absl::Status status = Template::Parse(source).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << source;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << source;
  }
}

TEST(Template, RefusesWhatIsNoTemplate) {
  for (const char* source : {"{{",
                             "{{ }}",
                             "{{ 1",
                             "{% if %}",
                             "{% if 1 %}",
                             "{% endif %}",
                             "{% for x %}",
                             "{% for in y %}",
                             "{% for x in y %}",
                             "{% if 1 %}{% endfor %}",
                             "{% set %}",
                             "{% set x = %}",
                             "{% set 1 = 2 %}",
                             "{% set loop = 1 %}",
                             "{% set true = 1 %}",
                             "{% set ns._x = 1 %}",
                             "{% %}",
                             "{#",
                             "{% raw %}",
                             "{{ 'a }}",
                             "{{ '\\x4' }}",
                             "{{ '\\ud800' }}",
                             "{{ a b }}",
                             "{{ a. }}",
                             "{{ a[ }}",
                             "{{ a[1 }}",
                             "{{ (1 }}",
                             "{{ [1 }}",
                             "{{ {1} }}",
                             "{{ {1: } }}",
                             "{{ ) }}",
                             "{{ 1 + }}",
                             "{{ | x }}",
                             "{{ x | }}",
                             "{{ x is }}",
                             "{{ x is none is none }}",
                             "{{ a ? b }}",
                             "{{ 007 }}",
                             "{{ 0x1f }}",
                             "{{ 1e }}",
                             "{{ 99999999999999999999 }}",
                             "{% break %}",
                             "{% if 1 %}{% continue %}{% endif %}",
                             "{{ s.strip(1, 2) }}",
                             "{{ s.strip(chars='a', chars='b') }}",
                             "{{ s.replace('a') }}",
                             "{{ range() }}",
                             "{{ a; b }}",
                             "{% endset %}",
                             "{% set x | trim %}{% endset %}",
                             "{% else %}",
                             "{{ x is divisibleby }}",
                             "{{ x is none 5 }}",
                             "\xff",
                             "{{ '\xc3' }}",
                             "{{ é }}",
                             "{{ dict(a=1, 2) }}",
                             "{{ namespace(_a=1) }}"}) {
    const absl::Status status = Template::Parse(source).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << source;
  }
}

TEST(Template, SaysWhereARenderingFails) {
  const std::pair<const char*, const char*> kCases[] = {
      {"a\n{{ 'x' + n }}", "line 2, column 8: '+' of string and int"},
      {"{{ missing + 'x' }}", "line 1, column 12: 'missing' is undefined"},
      {"{{ d.b.c }}", "line 1, column 8: 'b' is undefined"},
      {"{{ d.items }}", "line 1, column 6: 'items' of a dict is a method"},
      {"{{ namespace(a=1) }}", "a namespace as text"},
      {"{{ range(2) }}", "a range or a view"},
      {"{{ d.keys() == d.keys() }}", "a comparison of a view"},
      {"{{ 'é' | upper }}", "upper and lower of letters beyond ASCII"},
      {"{{ 9223372036854775807 + 1 }}", "an integer of more than 64 bits"},
      {"{{ (-9223372036854775807 - 1) // -1 }}", "an integer of more than 64 bits"},
      {"{{ '9223372036854775808' | int }}", "an integer of more than 64 bits"},
  };
  for (const auto& [source, message] : kCases) {
    const absl::Status status = Render(source).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << source << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << source;
  }
}

TEST(Template, EndsWhateverItAsksForWithBoundedWork) {
  const char* kLoop =
      "{% set ns = namespace(v=START) %}{% for i in range(99999) %}{% set ns.v = STEP %}"
      "{% endfor %}END";
  const auto loop = [&](const char* start, const char* step, const char* end = "") {
    return absl::StrReplaceAll(kLoop, {{"START", start}, {"STEP", step}, {"END", end}});
  };
  const auto few = [&](const char* start, const char* step, const char* end) {
    return absl::StrReplaceAll(loop(start, step, end), {{"99999", "60"}});
  };
  const std::string kCases[] = {
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% for a in range(99999) %}{% for b in range(99999) if 0 %}{% endfor %}{% endfor %}",
      "{% for a in range(99999) %}{{ 'a' * 9999 }}{% endfor %}",
      loop("'a'", "ns.v + ns.v"),
      loop("'a'", "ns.v ~ ns.v"),
      loop("'ab'", "ns.v.replace('a', 'ab')"),
      loop("[0]", "ns.v + ns.v"),
      loop("[0]", "[ns.v]"),
      loop("{}", "{'a': ns.v}"),
      loop("'a'", "ns.v + 'aaaaaaaaaa'"),
      loop("[]", "ns.v + [1]"),
      loop("''", "[ns.v]|string"),
      few("[]", "[ns.v, ns.v]", "{{ ns.v }}"),
      few("[]", "[ns.v, ns.v]", "{{ ns.v | tojson }}"),
      few("[]", "[ns.v, ns.v]", "{{ ns.v == ns.v }}"),
      few("[]", "[ns.v, ns.v]", "{{ ns.v < ns.v }}"),
      few("{}", "{'a': ns.v, 'b': ns.v}", "{{ ns.v | tojson(indent=100) }}"),
      few("[]", "[ns.v, ns.v]", "{{ [ns.v] | join }}"),
      few("[]", "[ns.v, ns.v]", "{{ [] in ns.v }}{{ 1 in [ns.v] or ns.v in [ns.v] }}"),
      "{{ range(1000000000) }}",
      "{{ range(0, -9000000000000000000, -1) | list }}",
      "{{ 'a' * 999999999999 }}",
      "{{ [0] * 999999999999 }}",
      "{{ ('a' * 99999999) | list }}",
      "{{ ('a ' * 9999999).split() }}",
      "{{ ('a' * 9999999).replace('', 'aaaaaaaaaaaaa') }}",
      "{% for c in 'a' * 9999999 %}{% endfor %}",
      "{% set x = 'a' * 999999 %}{% for i in range(99999) %}{{ x[0] }}{% endfor %}",
      "{% set x = 'a' * 999999 %}{% for i in range(99999) %}{{ x | length }}{% endfor %}",
      "{% set x = 'a' * 999999 %}{% set y = 'a' * 999999 %}{% for i in range(99999) %}{{ x == y "
      "}}{% endfor %}",
      "{% set x = 'a' * 999999 %}{% for i in range(99999) %}{{ x | trim }}{% endfor %}",
      "{% set x = ' ' * 999999 %}{% for i in range(99999) %}{{ x.strip() }}{{ x.strip(' ') }}{% "
      "endfor %}",
  };
  for (const std::string& source : kCases) {
    const absl::StatusOr<std::string> text = Render(source);
    EXPECT_EQ(text.status().code(), absl::StatusCode::kResourceExhausted)
        << source << " " << text.status();
  }
}

TEST(Template, BoundsHowDeepATemplateIs) {
  const auto around = [](int times, const char* before, const char* inside, const char* after) {
    return absl::StrCat("{{ ", Repeated(times, before), inside, Repeated(times, after), " }}");
  };
  for (int times : {1'000, 30'000}) {
    for (const std::string& source :
         {around(times, "(", "1", ")"), around(times, "[", "", "]"), around(times, "{1:", "1", "}"),
          around(times, "not ", "1", ""), around(times, "- ", "1", ""),
          around(times, "", "1", "+1"), around(times, "", "s", "|trim"),
          around(times, "", "d", ".a"), around(times, "", "d", "[0]"),
          around(times, "", "1", " if 1 else 1"), around(times, "1 or (", "1", ")"),
          around(times, "", "s", ".strip()"), around(times, "s[", "1", "]"),
          around(times, "1 and ", "1", ""),
          absl::StrCat(Repeated(times, "{% if 1 %}"), Repeated(times, "{% endif %}")),
          absl::StrCat(Repeated(times, "{% for x in s %}"), Repeated(times, "{% endfor %}"))}) {
      const absl::Status status = Template::Parse(source).status();
      EXPECT_THAT(std::string(status.message()), HasSubstr("nested deeper than 150 levels"))
          << source.substr(0, 40);
    }
  }
  EXPECT_TRUE(Render(around(70, "(", "1", ")")).ok());
  EXPECT_TRUE(Render(around(kTreeDepthMax - 4, "", "1", "+1")).ok());
  // Width is no depth.
  EXPECT_EQ(*Render(absl::StrCat("{% if 0 %}", Repeated(1'000, "{% elif 0 %}"),
                                 "{% else %}x{% endif %}")),
            "x");
  EXPECT_EQ(Render(around(10'000, "", "s", " ~ s"))->size(), 40'004u);
}

TEST(Template, BoundsItsLength) {
  EXPECT_TRUE(Template::Parse(std::string(kTemplateBytesMax, 'x')).ok());
  EXPECT_EQ(Template::Parse(std::string(kTemplateBytesMax + 1, 'x')).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Template, KeepsToEachLimitExactly) {
  EXPECT_TRUE(Render("{{ 'a' * 100 }}", {.output_bytes_max = 100}).ok());
  EXPECT_THAT(std::string(Render("{{ 'a' * 101 }}", {.output_bytes_max = 100}).status().message()),
              HasSubstr("more than 100 bytes of output"));
  // The body, the statement, the expression.
  EXPECT_TRUE(Render("{{ 1 }}", {.steps_max = 3}).ok());
  EXPECT_THAT(std::string(Render("{{ 1 }}", {.steps_max = 2}).status().message()),
              HasSubstr("more than 2 steps"));
  EXPECT_TRUE(Render("{{ range(100000) | length }}").ok());
  EXPECT_FALSE(Render("{{ range(100001) | length }}").ok());
  const auto nested = [](int levels) {
    return Render(absl::StrCat("{% set ns = namespace(v=[]) %}{% for i in range(", levels - 1,
                               ") %}{% set ns.v = [ns.v] %}{% endfor %}"))
        .status()
        .code();
  };
  EXPECT_EQ(nested(kValueDepthMax), absl::StatusCode::kOk);
  EXPECT_EQ(nested(kValueDepthMax + 1), absl::StatusCode::kResourceExhausted);
}

TEST(Template, RefusesVariablesThatAreNotText) {
  const absl::StatusOr<Template> parsed = Template::Parse("{{ x }}");
  ASSERT_TRUE(parsed.ok());
  const auto with = [&](Value value) {
    return parsed->Render(Value::DictOf({{Value::Text("x"), std::move(value)}})).status().code();
  };
  EXPECT_EQ(with(Value::Text("a\xff")), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(with(Value::ListOf({Value::Text("\xed\xa0\x80")})), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(with(Value::DictOf({{Value::Text("\xc0\x80"), Value::None()}})),
            absl::StatusCode::kInvalidArgument);
  Value deep = Value::Integer(1);
  // The dict of the variables is a level, too.
  for (int i = 0; i < kValueDepthMax - 1; ++i) deep = Value::ListOf({deep});
  EXPECT_EQ(with(deep), absl::StatusCode::kOk);
  EXPECT_EQ(with(Value::ListOf({deep})), absl::StatusCode::kInvalidArgument);
}

TEST(Template, GivesTheTextOfRaiseExceptionAsItIs) {
  const absl::Status status = Render("{{ raise_exception('roles: ' ~ n) }}").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "roles: 7");
}

}  // namespace
}  // namespace expertmesh::jinja
