// From strokes to pixels, tile by tile: any part of a picture can be painted alone.
#pragma once

#include <cstdint>
#include <vector>

#include "layout.hpp"
#include "simd/loops.hpp"
#include "stroke.hpp"

namespace eegvlm {

struct Output;  // render.hpp

class Tiles {
  public:
    explicit Tiles(const Layout& layout);

    // Picture number `picture` of `output`.
    Canvas canvas(const Output& output, int64_t picture) const;

    // The whole picture, or the tiles that show cuts [begin, end) of the strip. One stroke per channel.
    void paint(const std::vector<Stroke>& strokes, const Canvas& canvas);
    void paint(const std::vector<Stroke>& strokes, int32_t begin, int32_t end, const Canvas& canvas);

    // No row of pixels shows two rows of the recording: each of these can be painted alone.
    bool rows_apart() const { return rows_apart_; }

    // Pixel columns [left, right) of one row of the recording, if they are apart; left at a tile's edge.
    void paint_row(const std::vector<Stroke>& strokes, int row, int left, int right, const Canvas& canvas);

  private:
    // Strips that share no row of pixels with those outside.
    struct Bunch {
        int first_strip, end_strip;
        int top, bottom;  // px
    };

    void paint_tiles(const std::vector<Stroke>& strokes, const Bunch& bunch, int left, int right,
                     const Canvas& canvas);
    Reach add_edges(const std::vector<Stroke>& strokes, const Bunch& bunch, int left, int width,
                    const Canvas& canvas, int32_t* edges);

    const Layout& layout_;
    std::vector<Bunch> bunches_;
    bool rows_apart_ = true;
    std::vector<int32_t> edges_;
};

}  // namespace eegvlm
