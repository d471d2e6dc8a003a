#include "cli/load/chart.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace expertmesh {
namespace {

constexpr int kWidth = 820;
constexpr int kLeft = 80, kPlotWidth = 560;  // the legend is right of the plot
constexpr int kHeadHeight = 64;
constexpr int kAbovePlot = 30, kBelowPlot = 62;
constexpr char kInk[] = "#222222", kFaint[] = "#dddddd";

std::string Escape(const std::string& text) {
  return absl::StrReplaceAll(text,
                             {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

struct TextAt {
  double x = 0, y = 0;
  const char* anchor = "start";
  int size = 12;
};

std::string Text(const TextAt& at, const std::string& text, const char* more = "") {
  return absl::StrFormat(
      "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\" fill=\"%s\"%s>%s</text>\n",
      at.x, at.y, at.anchor, at.size, kInk, more, Escape(text));
}

std::string Line(double x1, double y1, double x2, double y2, const std::string& style) {
  return absl::StrFormat("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2,
                         y2, style);
}

std::string Stroke(const Series& series) {
  return absl::StrCat("stroke=\"", Escape(series.color), "\" stroke-width=\"2\"",
                      series.dashed ? " stroke-dasharray=\"6 4\"" : "");
}

// One panel, whose plot begins `top` pixels from the top.
class PanelDrawing {
 public:
  PanelDrawing(const Panel& panel, int top) : panel_(panel), top_(top) {}

  std::string Svg() const {
    std::string svg = Text({kLeft, top_ - 10.0, "start", 14}, panel_.title);
    absl::StrAppend(&svg, Ticks(), Labels());
    for (const Series& series : panel_.series) svg += Curve(series);
    return svg + Legend();
  }

 private:
  double X(double value) const { return kLeft + panel_.x.At(value) * kPlotWidth; }
  double Y(double value) const { return Bottom() - panel_.y.At(value) * panel_.height; }
  double Bottom() const { return top_ + panel_.height; }

  std::string Ticks() const {
    const std::string grid = absl::StrCat("stroke=\"", kFaint, "\"");
    std::string svg;
    for (const double tick : panel_.x.ticks) {
      svg += Line(X(tick), top_, X(tick), Bottom(), grid);
      svg += Text({X(tick), Bottom() + 18, "middle"}, TickText(tick));
    }
    for (const double tick : panel_.y.ticks) {
      svg += Line(kLeft, Y(tick), kLeft + kPlotWidth, Y(tick), grid);
      svg += Text({kLeft - 8.0, Y(tick) + 4, "end"}, TickText(tick));
    }
    return absl::StrCat(
        svg, absl::StrFormat("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" "
                             "stroke=\"%s\"/>\n",
                             kLeft, top_, kPlotWidth, panel_.height, kInk));
  }

  std::string Labels() const {
    const double middle = top_ + panel_.height / 2.0;
    const std::string turned = absl::StrFormat(" transform=\"rotate(-90 20 %.1f)\"", middle);
    return Text({kLeft + kPlotWidth / 2.0, Bottom() + 40, "middle", 13}, panel_.x_label) +
           Text({20, middle, "middle", 13}, panel_.y_label, turned.c_str());
  }

  std::string Curve(const Series& series) const {
    std::string points, markers;
    for (const auto& [x, y] : series.points) {
      absl::StrAppendFormat(&points, "%s%.1f,%.1f", points.empty() ? "" : " ", X(x), Y(y));
      if (!series.markers) continue;
      absl::StrAppendFormat(&markers,
                            "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"><title>%s at "
                            "%g: %.4g</title></circle>\n",
                            X(x), Y(y), Escape(series.color), Escape(series.name), x, y);
    }
    return absl::StrCat("<polyline fill=\"none\" ", Stroke(series), " points=\"", points, "\"/>\n",
                        markers);
  }

  std::string Legend() const {
    const double left = kLeft + kPlotWidth + 16;
    double y = top_ + 12;
    std::string svg;
    for (const Series& series : panel_.series) {
      svg += Line(left, y - 4, left + 28, y - 4, Stroke(series));
      svg += Text({left + 36, y}, series.name);
      y += 20;
    }
    return svg;
  }

  const Panel& panel_;
  const int top_;
};

}  // namespace

std::string ToSvg(const Chart& chart) {
  std::string body =
      Text({kLeft, 28, "start", 18}, chart.title) + Text({kLeft, 48}, chart.subtitle);
  int top = kHeadHeight;
  for (const Panel& panel : chart.panels) {
    body += PanelDrawing(panel, top + kAbovePlot).Svg();
    top += kAbovePlot + panel.height + kBelowPlot;
  }
  return absl::StrCat(
      absl::StrFormat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                      "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\">\n",
                      kWidth, top, kWidth, top),
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n", body, "</svg>\n");
}

}  // namespace expertmesh
