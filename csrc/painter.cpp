#include "painter.hpp"

#include <algorithm>
#include <cmath>

#include "simd/loops.hpp"

namespace eegvlm {
namespace {

// A stretch of the strip is followed from its samples to its pixels before the next, so that all in between
// stays in the nearest cache.
constexpr int kCutsAtOnce = 1024;

}  // namespace

bool read_positions(const Layout& layout, double uv_range, const Traces& traces, int64_t picture, int channel,
                    int64_t begin, int64_t end, float* positions) {
    const Scaling scaling =
        traces.scaling ? traces.scaling[channel] : Scaling{uv_range, traces.gain, traces.offset};
    const double units_per_uv = layout.strip_height / (2.0 * scaling.uv_range);
    const double middle = layout.strip_height / 2.0;
    SampleView view = traces.samples;
    view.data += picture * traces.picture_stride + channel * traces.channel_stride + begin * view.stride;
    view.count = end - begin;
    bool whole = loops().read(view, -scaling.gain * units_per_uv, middle - scaling.offset * units_per_uv,
                              positions + begin);
    const MaskView& mask = traces.mask;
    if (!mask.data) return whole;
    const std::byte* missing = mask.data + picture * mask.picture_stride + channel * mask.channel_stride;
    for (int64_t i = begin; i < end; ++i)
        if (missing[i * mask.stride] != std::byte{0}) {
            positions[i] = std::nanf("");
            whole = false;
        }
    return whole;
}

Painter::Painter(const Layout& layout, int64_t samples)
    : layout_(layout),
      grid_(layout, samples),
      positions_(static_cast<size_t>(layout.geometry.channels),
                 std::vector<float>(static_cast<size_t>(samples + 2 * kSpare))),
      whole_(static_cast<size_t>(layout.geometry.channels)),
      envelope_(grid_),
      strokes_(static_cast<size_t>(layout.geometry.channels), Stroke(layout)),
      tiles_(layout_) {}

bool Painter::fits(const Layout& layout, int64_t samples) const {
    return layout.geometry == layout_.geometry && samples == grid_.samples;
}

void Painter::paint(const Traces& traces, double uv_range, int64_t picture, const Output& output) {
    const Geometry& g = layout_.geometry;
    const auto channels = static_cast<size_t>(g.channels);
    for (size_t c = 0; c < channels; ++c)
        whole_[c] = read_positions(layout_, uv_range, traces, picture, static_cast<int>(c), 0, grid_.samples,
                                   positions_[c].data() + kSpare);
    const Canvas canvas = tiles_.canvas(output, picture);
    if (!tiles_.rows_apart()) {
        for (size_t c = 0; c < channels; ++c) {
            envelope_.trace(positions_[c].data() + kSpare, whole_[c]);
            strokes_[c].follow(envelope_);
        }
        return tiles_.paint(strokes_, canvas);
    }
    for (Stroke& stroke : strokes_) stroke.clear();
    const int tiles_at_once = std::max(1, kCutsAtOnce / (kTileWidth * layout_.sub_columns));
    const int stretch = tiles_at_once * kTileWidth;
    for (int row = 0; row < g.rows; ++row)
        for (int left = 0; left < g.width; left += stretch) {
            const int right = std::min(left + stretch, g.width);
            const int32_t begin = row * layout_.row_columns + left * layout_.sub_columns;
            const int32_t end = row * layout_.row_columns + right * layout_.sub_columns;
            for (size_t c = 0; c < channels; ++c) {
                envelope_.trace_cells(positions_[c].data() + kSpare, whole_[c], begin,
                                      end + layout_.taps - 2);
                strokes_[c].follow_cuts(envelope_, begin, end);
            }
            tiles_.paint_row(strokes_, row, left, right, canvas);
        }
}

}  // namespace eegvlm
