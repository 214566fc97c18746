#include "sweep.hpp"

#include <algorithm>

#include "painter.hpp"
#include "simd/loops.hpp"

namespace eegvlm {

Sweep::Sweep(const Layout& layout, const std::vector<Scaling>& scaling, const Traces& traces,
             const Output& output)
    : layout_(layout),
      scaling_(scaling),
      traces_(traces),
      output_(output),
      grid_(layout_, traces.samples.count),
      envelope_(grid_),
      positions_(static_cast<size_t>(layout.geometry.channels),
                 std::vector<float>(static_cast<size_t>(traces.samples.count + 2 * kSpare))),
      strokes_(static_cast<size_t>(layout.geometry.channels), Stroke(layout_)),
      tiles_(layout_) {
    traces_.scaling = scaling_.data();
    redraw(0, grid_.samples);
}

void Sweep::redraw(int64_t begin, int64_t end) {
    if (begin >= end) return;
    // The line reaches from the sample before to the one after; a cut sees the cells under the pen.
    const int32_t first = grid_.cell_of(std::max<int64_t>(begin - 1, 0));
    const int32_t last = grid_.cell_of(std::min(end, grid_.samples - 1));
    const bool all = begin == 0 && end == grid_.samples;
    const int32_t from = all ? 0 : std::clamp(first - layout_.taps + 1, 0, layout_.columns);
    const int32_t to = all ? layout_.columns
                           : std::max(from, strokes_[0].last_cut(from, std::min(last + 1, layout_.columns)));
    for (int c = 0; c < layout_.geometry.channels; ++c) {
        const auto channel = static_cast<size_t>(c);
        float* positions = positions_[channel].data() + kSpare;
        read_positions(layout_, 0.0, traces_, 0, c, begin, end, positions);
        envelope_.trace_cells(positions, false, from, to + layout_.taps - 2);
        strokes_[channel].follow_cuts(envelope_, from, to);
    }
    tiles_.paint(strokes_, from, to, tiles_.canvas(output_, 0));
}

}  // namespace eegvlm
