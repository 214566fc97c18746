// One picture at a time, in memory that is kept from picture to picture.
#pragma once

#include <cstdint>
#include <vector>

#include "envelope.hpp"
#include "layout.hpp"
#include "render.hpp"
#include "stroke.hpp"
#include "tile.hpp"

namespace eegvlm {

class Painter {
  public:
    Painter(const Layout& layout, int64_t samples);

    bool fits(const Layout& layout, int64_t samples) const;

    void paint(const Traces& traces, double uv_range, int64_t picture, const Output& output);

  private:
    void read(const Traces& traces, double uv_range, int64_t picture, int channel);
    void add_strip(int row, int channel, int left, int columns);

    Layout layout_;
    std::vector<float> positions_;
    Envelope envelope_;
    std::vector<Stroke> strokes_;
    Tile tile_;
    int gray_stride_;
    std::vector<uint8_t> gray_;
};

}  // namespace eegvlm
