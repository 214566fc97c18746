#include "painter.hpp"

#include <cmath>

#include "loops.hpp"

namespace eegvlm {

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
      positions_(static_cast<size_t>(samples + 2 * kSpare)),
      envelope_(grid_),
      strokes_(static_cast<size_t>(layout.geometry.channels), Stroke(layout)),
      tiles_(layout_) {}

bool Painter::fits(const Layout& layout, int64_t samples) const {
    return layout.geometry == layout_.geometry && samples == grid_.samples;
}

void Painter::paint(const Traces& traces, double uv_range, int64_t picture, const Output& output) {
    float* positions = positions_.data() + kSpare;
    for (int c = 0; c < layout_.geometry.channels; ++c) {
        const bool whole = read_positions(layout_, uv_range, traces, picture, c, 0, grid_.samples, positions);
        envelope_.trace(positions, whole);
        strokes_[static_cast<size_t>(c)].follow(envelope_);
    }
    tiles_.paint(strokes_, tiles_.canvas(output, picture));
}

}  // namespace eegvlm
