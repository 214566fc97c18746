#include "tiles.hpp"

#include <algorithm>

#include "fixed.hpp"
#include "render.hpp"

namespace eegvlm {

Tiles::Tiles(const Layout& layout)
    : layout_(layout), edges_(static_cast<size_t>((layout.geometry.height + 1) * kTileWidth)) {
    const Geometry& g = layout.geometry;
    const int strips = g.rows * g.channels;
    for (int s = 0, first = 0; s < strips; ++s) {
        const int64_t end = static_cast<int64_t>(s + 1) * g.height;
        if (end % strips != 0) continue;
        bunches_.push_back({first, s + 1, first * g.height / strips, static_cast<int>(end / strips)});
        first = s + 1;
    }
}

Canvas Tiles::canvas(const Output& output, int64_t picture) {
    const Geometry& g = layout_.geometry;
    if (output.format == Format::f16_chw) {
        halves_.resize(3 * 256);
        for (size_t i = 0; i < halves_.size(); ++i)
            halves_[i] = half_bits(
                normalized(static_cast<int32_t>(i % 256), output.scale[i / 256], output.bias[i / 256]));
    }
    return {output.format,
            output.data + picture * picture_bytes(g, output.format),
            g.width,
            g.height,
            {output.scale[0], output.scale[1], output.scale[2]},
            {output.bias[0], output.bias[1], output.bias[2]},
            halves_.data(),
            output.ground};
}

void Tiles::paint(const std::vector<Stroke>& strokes, const Canvas& canvas) {
    for (const Bunch& bunch : bunches_)
        for (int left = 0; left < layout_.geometry.width; left += kTileWidth)
            paint_tile(strokes, bunch, left, canvas);
}

void Tiles::paint(const std::vector<Stroke>& strokes, int32_t begin, int32_t end, const Canvas& canvas) {
    const int32_t across = kTileWidth * layout_.sub_columns;
    const int channels = layout_.geometry.channels;
    for (const Bunch& bunch : bunches_) {
        // A bunch of several rows shows several stretches of the strip in one tile.
        const int32_t first_row = bunch.first_strip / channels, last_row = (bunch.end_strip - 1) / channels;
        for (int32_t from = 0; from < layout_.row_columns; from += across) {
            bool shown = false;
            for (int32_t row = first_row; row <= last_row; ++row) {
                const int32_t at = row * layout_.row_columns + from;
                shown = shown || (at < end && begin < std::min(at + across, (row + 1) * layout_.row_columns));
            }
            if (shown) paint_tile(strokes, bunch, from / layout_.sub_columns, canvas);
        }
    }
}

void Tiles::paint_tile(const std::vector<Stroke>& strokes, const Bunch& bunch, int left,
                       const Canvas& canvas) {
    const int channels = layout_.geometry.channels, bits = layout_.unit_bits;
    const int width = std::min(kTileWidth, layout_.geometry.width - left);
    Band band{edges_.data(), bunch.top, bunch.bottom, bunch.bottom,
              bunch.top - 1, left,      width,        darkness_of(layout_.sub_columns * layout_.one())};
    for (int strip = bunch.first_strip; strip < bunch.end_strip; ++strip) {
        const int row = strip / channels;
        const Stroke& stroke = strokes[static_cast<size_t>(strip % channels)];
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
