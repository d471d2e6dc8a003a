// chart.h: line charts as SVG, written by hand: panels under one another, each with two axes, a
// grid and a legend. Dark on white, whatever is behind.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/load/axis.h"

namespace expertmesh {

struct Series {
  std::string name;
  std::string color;  // like "#1f77b4"
  bool dashed = false;
  bool markers = true;  // a dot at each point, with its values as a tooltip
  std::vector<std::pair<double, double>> points;
};

struct Panel {
  std::string title, x_label, y_label;  // labels with their units
  Axis x, y;
  int height = 300;  // of the plot, in pixels
  std::vector<Series> series;
};

struct Chart {
  std::string title, subtitle;
  std::vector<Panel> panels;
};

// A whole SVG document. Texts may hold anything.
std::string ToSvg(const Chart& chart);

}  // namespace expertmesh
