// One picture at a time, in memory that is kept from picture to picture.
#pragma once

#include <cstdint>
#include <vector>

#include "envelope.hpp"
#include "layout.hpp"
#include "render.hpp"
#include "stroke.hpp"

namespace eegvlm {

class Painter {
  public:
    Painter(const Layout& layout, int64_t samples);
    Painter(const Painter&) = delete;
    Painter& operator=(const Painter&) = delete;

    bool fits(const Layout& layout, int64_t samples) const;

    void paint(const Traces& traces, double uv_range, int64_t picture, const Output& output);

  private:
    // Strips that share no row of pixels with those outside.
    struct Bunch {
        int first_strip, end_strip;
        int top, bottom;  // px
    };

    void follow(const Traces& traces, double uv_range, int64_t picture, int channel);
    void paint_tile(const Bunch& bunch, int left, const Canvas& canvas);

    Layout layout_;
    Grid grid_;
    std::vector<Bunch> bunches_;
    std::vector<float> positions_;
    Envelope envelope_;
    std::vector<Stroke> strokes_;
    std::vector<int32_t> edges_;
    std::vector<uint16_t> halves_;
};

}  // namespace eegvlm
