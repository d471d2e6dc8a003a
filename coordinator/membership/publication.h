// publication.h: which workers a topology lists, and with which experts: a pure function.
//
// The READY ones, by role, then name. All replicas of one (layer, expert) have one compute class:
// where holders differ, the class that the last topology listed stays, else that of the lower name
// wins. A worker of another class is listed without those experts, and `notes` says so.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cluster/topology.h"

namespace expertmesh {

// `ready` are the READY workers with all that they hold; `last` is the last topology or null.
// `notes` gets one text for each worker that is listed with less than it holds.
std::vector<Member> ListMembers(std::vector<Member> ready, const Topology* last,
                                std::map<std::string, std::string>* notes);

}  // namespace expertmesh
