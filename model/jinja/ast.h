// ast.h: a parsed template: nodes in one array, which name their children by index.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/jinja/lexer.h"
#include "model/jinja/value.h"

namespace expertmesh::jinja {

using NodeId = int32_t;
inline constexpr NodeId kNoNode = -1;

// Levels of nodes within each other: parsing and rendering recurse that deep.
inline constexpr int kTreeDepthMax = 150;

struct Node {
  enum class Kind : uint8_t {
    // Statements.                children
    kText,          //            ; value
    kOutput,        // {{ a }}    a; id: 1 if safe, 2 if escaped
    kIf,            //            condition, then, or else
    kFor,           //            sequence, filter, body, or else; names: one or more targets
    kSet,           //            expression; names: one or more targets
    kSetAttribute,  // ns.x = a   expression; names: ns, x
    kSetBlock,      //            body; names: the target
    kScope,         //            body
    kBody,          //            statements
    kBreak,
    kContinue,
    // Expressions.
    kConstant,     //             ; value
    kName,         //             ; names: it
    kLoop,         // loop.x      ; id: LoopAttribute
    kList,         //             elements
    kTuple,        //             elements
    kDict,         //             key, element, key, ...
    kAttribute,    // a.x         a; names: x
    kItem,         // a[b]        a, b
    kSlice,        // a[b:c:d]    a, b, c, d
    kNegate,       // -a          a
    kPlus,         // +a          a
    kBinary,       //             a, b; id: Operation
    kConcat,       // a ~ b       operands
    kCompare,      //             a, b, c, ...; ids: Comparison between each two
    kNot,          //             a
    kAnd,          //             a, b
    kOr,           //             a, b
    kConditional,  // a if b else c   b, a, c
    kFilter,       //             subject, arguments; id: Filter
    kTest,         //             subject, arguments; id: Test
    kMethod,       //             subject, arguments; id: Method
    kFunction,     //             arguments, values of names; id: Function; names: by which they go
  };
  enum class Operation : uint8_t { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo };
  enum class Comparison : uint8_t {
    kEqual,
    kNotEqual,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kIn,
    kNotIn
  };

  Kind kind;
  uint8_t id = 0;
  int16_t depth = 1;
  Position position;
  std::vector<NodeId> children;  // kNoNode: not there
  std::vector<uint8_t> ids;
  std::vector<std::string> names;
  Value value;
};

struct Ast {
  std::vector<Node> nodes;
  NodeId root = kNoNode;
};

}  // namespace expertmesh::jinja
