// written_page.h: a page of docs/ of which tests write parts.
#pragma once

#include <string>
#include <vector>

namespace expertmesh {

// Compares `lines` with those of docs/api.md that stand between "<!-- NAME: ... -->" and
// "<!-- end of NAME -->", and records a test failure that shows each line that differs. With
// EXPERTMESH_WRITE_DOCS=1 in the environment it writes them there instead.
void ExpectOnApiPage(const std::string& name, const std::vector<std::string>& lines);

}  // namespace expertmesh
