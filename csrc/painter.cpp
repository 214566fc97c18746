#include "painter.hpp"

#include <algorithm>

namespace eegvlm {

Painter::Painter(const Layout& layout, int64_t samples)
    : layout_(layout),
      positions_(static_cast<size_t>(samples)),
      envelope_(layout, samples),
      strokes_(static_cast<size_t>(layout.geometry.channels), Stroke(layout)),
      tile_(layout),
      gray_stride_((layout.geometry.width + Tile::kWidth - 1) / Tile::kWidth * Tile::kWidth),
      gray_(static_cast<size_t>(gray_stride_) * static_cast<size_t>(layout.geometry.height)) {}

bool Painter::fits(const Layout& layout, int64_t samples) const {
    return layout.geometry == layout_.geometry && static_cast<size_t>(samples) == positions_.size();
}

void Painter::paint(const Traces& traces, double uv_range, int64_t picture, const Output& output) {
    const Geometry& g = layout_.geometry;
    for (int c = 0; c < g.channels; ++c) {
        read(traces, uv_range, picture, c);
        envelope_.trace(positions_.data());
        strokes_[static_cast<size_t>(c)].follow(envelope_);
    }
    for (int left = 0; left < g.width; left += Tile::kWidth) {
        const int columns = std::min(Tile::kWidth, g.width - left);
        tile_.clear();
        for (int row = 0; row < g.rows; ++row)
            for (int c = 0; c < g.channels; ++c) add_strip(row, c, left, columns);
        tile_.resolve(&gray_[static_cast<size_t>(left)], gray_stride_);
    }
    store({gray_.data(), gray_stride_, g.width, g.height}, picture, output);
}

void Painter::read(const Traces& traces, double uv_range, int64_t picture, int channel) {
    SampleView view = traces.samples;
    view.data += picture * traces.picture_stride + channel * traces.channel_stride;
    const double units_per_uv = layout_.strip_height / (2.0 * uv_range);
    const double middle = layout_.strip_height / 2.0;
    read_positions(view, -traces.gain * units_per_uv, middle - traces.offset * units_per_uv,
                   positions_.data());
}

void Painter::add_strip(int row, int channel, int left, int columns) {
    const Stroke& stroke = strokes_[static_cast<size_t>(channel)];
    const int32_t base = layout_.strip_top(row, channel);
    const int32_t begin = row * layout_.row_columns + left * layout_.sub_columns;
    const int32_t end = begin + columns * layout_.sub_columns;
    tile_.add(&stroke.top()[static_cast<size_t>(begin)], &stroke.bottom()[static_cast<size_t>(begin)],
              end - begin, base);
    const auto& more = stroke.more();
    auto span = std::lower_bound(more.begin(), more.end(), begin,
                                 [](const Span& s, int32_t column) { return s.column < column; });
    for (; span != more.end() && span->column < end; ++span)
        tile_.add((span->column - begin) / layout_.sub_columns, base + span->top, base + span->bottom);
}

}  // namespace eegvlm
