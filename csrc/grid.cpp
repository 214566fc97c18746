#include "grid.hpp"

namespace eegvlm {
namespace {

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

}  // namespace

// Cell c spans [c, c + 1] - (taps - 1) / 2 in sub-columns, so that the cut through the middle of sub-column j
// lies in the middle of cells j .. j + taps - 1. Sample i lies at (i + 1/2) * columns / samples. Both are
// kept as whole numbers, so that a cell's edge and its samples never disagree about which comes first.
Grid::Grid(const Layout& layout, int64_t count)
    : samples(count),
      columns(layout.columns),
      taps(layout.taps),
      highest(static_cast<float>(layout.half_stroke)),
      lowest(static_cast<float>(layout.strip_height - layout.half_stroke)),
      apart(7 * count <= 6 * static_cast<int64_t>(layout.columns)) {
    const auto edges = static_cast<size_t>(columns + taps);
    left.resize(edges);
    share.resize(edges);
    for (size_t c = 0; c < edges; ++c) {
        const int64_t at = (2 * static_cast<int64_t>(c) + 1 - taps) * samples - columns;
        const int64_t before = floor_div(at - 1, 2 * static_cast<int64_t>(columns));
        left[c] = static_cast<int32_t>(before);
        share[c] = static_cast<float>(static_cast<double>(at - before * 2 * columns) /
                                      static_cast<double>(2 * static_cast<int64_t>(columns)));
    }
    cells.resize(static_cast<size_t>(samples));
    for (int64_t i = 0; i < samples; ++i)
        cells[static_cast<size_t>(i)] =
            static_cast<int32_t>(floor_div((2 * i + 1) * columns + (taps - 1) * samples, 2 * samples));
}

}  // namespace eegvlm
