#include "model/jinja/template.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status.h"
#include "model/jinja/evaluator.h"
#include "model/jinja/parser.h"

namespace expertmesh::jinja {

absl::StatusOr<Template> Template::Parse(absl::string_view source) {
  if (source.size() > kTemplateBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the template has ", source.size(), " bytes; at most ", kTemplateBytesMax, " are allowed"));
  }
  ASSIGN_OR_RETURN(Ast ast, jinja::Parse(source));
  return Template(std::move(ast));
}

absl::StatusOr<std::string> Template::Render(const Value& variables, const Limits& limits) const {
  CHECK(variables.is_dict(), "a template's variables have names");
  RETURN_IF_ERROR(CheckInput(variables));
  return Evaluator(ast_, variables.dict(), limits).Run();
}

}  // namespace expertmesh::jinja
