#include "painter.hpp"

#include <algorithm>

#include "fixed.hpp"
#include "loops.hpp"

namespace eegvlm {

Painter::Painter(const Layout& layout, int64_t samples)
    : layout_(layout),
      grid_(layout, samples),
      positions_(static_cast<size_t>(samples + 2 * kSpare)),
      envelope_(grid_),
      strokes_(static_cast<size_t>(layout.geometry.channels), Stroke(layout)),
      edges_(static_cast<size_t>((layout.geometry.height + 1) * kTileWidth)) {
    const Geometry& g = layout.geometry;
    const int strips = g.rows * g.channels;
    for (int s = 0, first = 0; s < strips; ++s) {
        const int64_t end = static_cast<int64_t>(s + 1) * g.height;
        if (end % strips != 0) continue;
        bunches_.push_back({first, s + 1, first * g.height / strips, static_cast<int>(end / strips)});
        first = s + 1;
    }
}

bool Painter::fits(const Layout& layout, int64_t samples) const {
    return layout.geometry == layout_.geometry && samples == grid_.samples;
}

void Painter::paint(const Traces& traces, double uv_range, int64_t picture, const Output& output) {
    const Geometry& g = layout_.geometry;
    for (int c = 0; c < g.channels; ++c) follow(traces, uv_range, picture, c);
    if (output.format == Format::f16_chw) {
        halves_.resize(3 * 256);
        for (size_t i = 0; i < halves_.size(); ++i)
            halves_[i] = half_bits(
                normalized(static_cast<int32_t>(i % 256), output.scale[i / 256], output.bias[i / 256]));
    }
    const Canvas canvas{output.format,
                        output.data + picture * picture_bytes(g, output.format),
                        g.width,
                        g.height,
                        {output.scale[0], output.scale[1], output.scale[2]},
                        {output.bias[0], output.bias[1], output.bias[2]},
                        halves_.data(),
                        nullptr};
    for (const Bunch& bunch : bunches_)
        for (int left = 0; left < g.width; left += kTileWidth) paint_tile(bunch, left, canvas);
}

void Painter::follow(const Traces& traces, double uv_range, int64_t picture, int channel) {
    SampleView view = traces.samples;
    view.data += picture * traces.picture_stride + channel * traces.channel_stride;
    const double units_per_uv = layout_.strip_height / (2.0 * uv_range);
    const double middle = layout_.strip_height / 2.0;
    float* positions = positions_.data() + kSpare;
    const bool whole =
        loops().read(view, -traces.gain * units_per_uv, middle - traces.offset * units_per_uv, positions);
    envelope_.trace(positions, whole);
    strokes_[static_cast<size_t>(channel)].follow(envelope_);
}

void Painter::paint_tile(const Bunch& bunch, int left, const Canvas& canvas) {
    const int channels = layout_.geometry.channels, bits = layout_.unit_bits;
    const int width = std::min(kTileWidth, layout_.geometry.width - left);
    Band band{edges_.data(), bunch.top, bunch.bottom, bunch.bottom,
              bunch.top - 1, left,      width,        darkness_of(layout_.sub_columns * layout_.one())};
    for (int strip = bunch.first_strip; strip < bunch.end_strip; ++strip) {
        const int row = strip / channels;
        const Stroke& stroke = strokes_[static_cast<size_t>(strip % channels)];
        const int32_t base = layout_.strip_top(row, strip % channels) - bunch.top * layout_.one();
        const int32_t begin = row * layout_.row_columns + left * layout_.sub_columns;
        const int32_t end = begin + width * layout_.sub_columns;
        Reach reach = loops().scatter(&stroke.top()[static_cast<size_t>(begin)],
                                      &stroke.bottom()[static_cast<size_t>(begin)], layout_.column.data(),
                                      end - begin, base, bits, edges_.data());
        const auto& more = stroke.more();
        auto span = std::lower_bound(more.begin(), more.end(), begin,
                                     [](const Span& s, int32_t column) { return s.column < column; });
        for (; span != more.end() && span->column < end; ++span) {
            const int32_t x = (span->column - begin) / layout_.sub_columns;
            const int32_t top = base + span->top, bottom = base + span->bottom;
            edges_[static_cast<size_t>((top >> bits) * kTileWidth + x)] += edge_weights(top, bits);
            edges_[static_cast<size_t>((bottom >> bits) * kTileWidth + x)] -= edge_weights(bottom, bits);
            reach = {std::min(reach.first, top >> bits), std::max(reach.last, bottom >> bits)};
        }
        band.first = std::min(band.first, bunch.top + reach.first);
        band.last = std::max(band.last, bunch.top + reach.last);
    }
    loops().resolve(band, canvas);
}

}  // namespace eegvlm
