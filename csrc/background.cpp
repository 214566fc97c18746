#include "background.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace eegvlm {
namespace {

constexpr int64_t kAcross = 256;  // units in one pixel along time

// How much of pixel `i` lies in [from, to), in units of which a pixel has `one`.
int64_t share(int64_t i, int64_t from, int64_t to, int64_t one) {
    return std::max<int64_t>(0, std::min(to, (i + 1) * one) - std::max(from, i * one));
}

class Background {
  public:
    Background(const Layout& layout, int gray)
        : layout_(layout),
          darkness_(255 - gray),
          picture_(static_cast<size_t>(layout.geometry.width) * static_cast<size_t>(layout.geometry.height),
                   255) {}

    // A rectangle: from left to right in 1/kAcross pixel, from top to bottom in vertical units.
    void fill(int64_t left, int64_t right, int64_t top, int64_t bottom) {
        const int64_t width = layout_.geometry.width, one = layout_.one();
        for (int64_t y = top / one; y * one < bottom; ++y)
            for (int64_t x = left / kAcross; x * kAcross < right; ++x) {
                const int64_t covered = share(x, left, right, kAcross) * share(y, top, bottom, one);
                const int64_t full = kAcross * one;
                const auto gray = static_cast<uint8_t>(255 - (2 * covered * darkness_ + full) / (2 * full));
                uint8_t& pixel = picture_[static_cast<size_t>(y * width + x)];
                pixel = std::min(pixel, gray);
            }
    }

    std::vector<uint8_t> take() { return std::move(picture_); }

  private:
    const Layout& layout_;
    int64_t darkness_;
    std::vector<uint8_t> picture_;
};

void check(const Layout& layout, const Marks& marks) {
    const auto require = [](bool holds, const std::string& message) {
        if (!holds) throw std::invalid_argument(message);
    };
    require(marks.ticks >= 0 && marks.ticks <= kMaxTicks,
            "ticks: must lie in 0.." + std::to_string(kMaxTicks));
    require(marks.gray >= 0 && marks.gray <= 255, "mark_gray: must lie in 0..255");
    require(marks.scale_lines.size() <= static_cast<size_t>(kMaxScaleLines),
            "scale_lines: at most " + std::to_string(kMaxScaleLines));
    for (const double level : marks.scale_lines) require(std::isfinite(level), "scale_lines: must be finite");
    require(
        marks.uv_range.size() == 1 || marks.uv_range.size() == static_cast<size_t>(layout.geometry.channels),
        "uv_range: one for all channels, or one each");
    for (const double range : marks.uv_range)
        require(range >= 1e-6 && range <= 1e9, "uv_range: must lie in 1e-6..1e9");
}

void draw_ticks(const Layout& layout, int64_t ticks, Background& picture) {
    const Geometry& g = layout.geometry;
    const int64_t row = g.width * kAcross;
    const int64_t tall =
        std::min<int64_t>(layout.strip_height, std::max<int64_t>(layout.strip_height / 8, 2 * layout.one()));
    for (int64_t k = 0; k <= ticks; ++k) {
        const int64_t middle = k * row * g.rows / ticks;
        for (int r = 0; r < g.rows; ++r) {
            const int64_t left = std::max<int64_t>(middle - kAcross / 2 - r * row, 0);
            const int64_t right = std::min<int64_t>(middle + kAcross / 2 - r * row, row);
            const int64_t bottom = layout.strip_top(r, g.channels - 1) + layout.strip_height;
            if (left < right) picture.fill(left, right, bottom - tall, bottom);
        }
    }
}

void draw_scale_lines(const Layout& layout, const Marks& marks, Background& picture) {
    const Geometry& g = layout.geometry;
    const int64_t thick = std::min(layout.one(), layout.strip_height);
    for (int r = 0; r < g.rows; ++r)
        for (int c = 0; c < g.channels; ++c) {
            const double range = marks.uv_range[marks.uv_range.size() == 1 ? 0 : static_cast<size_t>(c)];
            const double units_per_uv = layout.strip_height / (2.0 * range);
            for (const double level : marks.scale_lines) {
                const double middle = layout.strip_height / 2.0 - level * units_per_uv;
                const double held = std::clamp(middle, 0.0, static_cast<double>(layout.strip_height));
                const int64_t top = std::clamp<int64_t>(static_cast<int64_t>(held + 0.5) - thick / 2, 0,
                                                        layout.strip_height - thick);
                const int64_t from = layout.strip_top(r, c) + top;
                picture.fill(0, g.width * kAcross, from, from + thick);
            }
        }
}

}  // namespace

std::vector<uint8_t> background(const Layout& layout, const Marks& marks) {
    check(layout, marks);
    Background picture(layout, marks.gray);
    draw_scale_lines(layout, marks, picture);
    if (marks.ticks > 0) draw_ticks(layout, marks.ticks, picture);
    return picture.take();
}

}  // namespace eegvlm
