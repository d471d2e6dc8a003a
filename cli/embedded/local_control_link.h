// local_control_link.h: the link between a worker and control when both are in one process.
#pragma once

#include <memory>

#include "cluster/control_link.h"

namespace expertmesh {

// Reports and commands are passed on as values, on the threads of those who say them. `control`
// outlives the link.
std::unique_ptr<ControlLink> MakeLocalControlLink(ControlServerListener* control);

}  // namespace expertmesh
