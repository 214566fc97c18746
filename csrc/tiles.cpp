#include "tiles.hpp"

#include <algorithm>

#include "pixel_math.hpp"
#include "render.hpp"

namespace eegvlm {
namespace {

constexpr int32_t kMostRowsAhead = 32;  // as many as arrive while a tile's edges are added

// The first rows of a tile, in a picture that is too large for the nearest cache.
Ahead place_of(const Canvas& canvas, int left, int top, int bottom) {
    if (canvas.format != Format::f32_chw || canvas.past_caches) return {};
    const int64_t row = 4 * canvas.width;
    return {canvas.data + top * row + 4 * left, row, canvas.height * row,
            std::min(bottom - top, kMostRowsAhead)};
}

}  // namespace

Tiles::Tiles(const Layout& layout)
    : layout_(layout), edges_(static_cast<size_t>(2 * (layout.geometry.height + 1) * kTileWidth), kNoEdges) {
    const Geometry& g = layout.geometry;
    const int strips = g.rows * g.channels;
    for (int s = 0, first = 0; s < strips; ++s) {
        const int64_t end = static_cast<int64_t>(s + 1) * g.height;
        if (end % strips != 0) continue;
        rows_apart_ = rows_apart_ && first / g.channels == s / g.channels;
        bunches_.push_back({first, s + 1, first * g.height / strips, static_cast<int>(end / strips)});
        first = s + 1;
    }
}

Canvas Tiles::canvas(const Output& output, int64_t picture) const {
    const Geometry& g = layout_.geometry;
    return {output.format,
            output.data + picture * picture_bytes(g, output.format),
            g.width,
            g.height,
            {output.scale[0], output.scale[1], output.scale[2]},
            {output.bias[0], output.bias[1], output.bias[2]},
            output.background,
            output.past_caches};
}

void Tiles::paint(const std::vector<Stroke>& strokes, const Canvas& canvas) {
    for (const Bunch& bunch : bunches_) paint_tiles(strokes, bunch, 0, layout_.geometry.width, canvas);
    loops().flush();
}

void Tiles::paint_row(const std::vector<Stroke>& strokes, int row, int left, int right,
                      const Canvas& canvas) {
    for (const Bunch& bunch : bunches_)
        if (bunch.first_strip / layout_.geometry.channels == row)
            paint_tiles(strokes, bunch, left, right, canvas);
    if (row + 1 == layout_.geometry.rows && right == layout_.geometry.width) loops().flush();
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
            const int left = from / layout_.sub_columns;
            const int right = std::min(left + kTileWidth, layout_.geometry.width);
            if (shown) paint_tiles(strokes, bunch, left, right, canvas);
        }
    }
    loops().flush();
}

// Past the caches two tiles are written together: half the visits to memory, of twice the length.
void Tiles::paint_tiles(const std::vector<Stroke>& strokes, const Bunch& bunch, int left, int right,
                        const Canvas& canvas) {
    const int64_t other = static_cast<int64_t>(edges_.size() / 2);
    while (left < right) {
        const bool pair = canvas.past_caches && right - left >= 2 * kTileWidth;
        const int tiles = pair ? 2 : 1;
        const int width = std::min(tiles * kTileWidth, right - left);
        Band band{edges_.data(), bunch.top, bunch.bottom, bunch.bottom,
                  bunch.top - 1, left,      width,        darkness_of(layout_.sub_columns * layout_.one()),
                  other};
        for (int i = 0; i < tiles; ++i) {
            const int x = left + i * kTileWidth;
            const Reach reach =
                add_edges(strokes, bunch, x, std::min(kTileWidth, right - x), canvas, band.edges + i * other);
            band.first = std::min(band.first, bunch.top + reach.first);
            band.last = std::max(band.last, bunch.top + reach.last);
        }
        loops().resolve(band, canvas);
        left += width;
    }
}

Reach Tiles::add_edges(const std::vector<Stroke>& strokes, const Bunch& bunch, int left, int width,
                       const Canvas& canvas, int32_t* edges) {
    const int channels = layout_.geometry.channels, bits = layout_.unit_bits;
    Ahead ahead = place_of(canvas, left, bunch.top, bunch.bottom);
    Reach all{bunch.bottom - bunch.top, -1};
    for (int strip = bunch.first_strip; strip < bunch.end_strip; ++strip) {
        const int row = strip / channels;
        const Stroke& stroke = strokes[static_cast<size_t>(strip % channels)];
        const int32_t base = layout_.strip_top(row, strip % channels) - bunch.top * layout_.one();
        const int32_t begin = row * layout_.row_columns + left * layout_.sub_columns;
        const int32_t end = begin + width * layout_.sub_columns;
        const Reach reach = loops().scatter(&stroke.top()[static_cast<size_t>(begin)],
                                            &stroke.bottom()[static_cast<size_t>(begin)],
                                            layout_.column.data(), end - begin, base, bits, edges, ahead);
        ahead.rows = 0;
        all = {std::min(all.first, reach.first), std::max(all.last, reach.last)};
        const auto& more = stroke.more();
        auto span = std::lower_bound(more.begin(), more.end(), begin,
                                     [](const Span& s, int32_t column) { return s.column < column; });
        for (; span != more.end() && span->column < end; ++span) {
            const int32_t x = (span->column - begin) / layout_.sub_columns;
            const int32_t top = base + span->top, bottom = base + span->bottom;
            edges[(top >> bits) * kTileWidth + x] += edge_weights(top, bits);
            edges[(bottom >> bits) * kTileWidth + x] -= edge_weights(bottom, bits);
            all = {std::min(all.first, top >> bits), std::max(all.last, bottom >> bits)};
        }
    }
    return all;
}

}  // namespace eegvlm
