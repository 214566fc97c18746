// One picture at a time, in memory that is kept from picture to picture.
#pragma once

#include <cstdint>
#include <vector>

#include "envelope.hpp"
#include "layout.hpp"
#include "render.hpp"
#include "stroke.hpp"
#include "tiles.hpp"

namespace eegvlm {

// Vertical positions of samples [begin, end) of one channel, written from positions[begin] on; NaN where one
// is missing. False if any is.
bool read_positions(const Layout& layout, double uv_range, const Traces& traces, int64_t picture, int channel,
                    int64_t begin, int64_t end, float* positions);

class Painter {
  public:
    Painter(const Layout& layout, int64_t samples);
    Painter(const Painter&) = delete;
    Painter& operator=(const Painter&) = delete;

    bool fits(const Layout& layout, int64_t samples) const;

    void paint(const Traces& traces, double uv_range, int64_t picture, const Output& output);

  private:
    Layout layout_;
    Grid grid_;
    std::vector<std::vector<float>> positions_;  // by channel, kSpare before and after
    std::vector<char> whole_;                    // by channel: no sample is missing
    Envelope envelope_;
    std::vector<Stroke> strokes_;
    Tiles tiles_;
};

}  // namespace eegvlm
