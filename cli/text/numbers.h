// numbers.h: how numbers are printed for people.
#pragma once

#include <cstdint>
#include <string>

namespace expertmesh {

std::string Grouped(int64_t number);         // "15,706,484,224"
std::string InBytes(uint64_t bytes);         // "31.41 GB": three or four digits, in powers of 1000
std::string InBillions(int64_t parameters);  // "15.71 B"

}  // namespace expertmesh
