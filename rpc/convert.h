// convert.h: protobuf <-> plain values, all of them.
#pragma once

#include "rpc/convert_fleet.h"       // IWYU pragma: export
#include "rpc/convert_generation.h"  // IWYU pragma: export
