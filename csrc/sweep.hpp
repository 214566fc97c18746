// A picture of samples that change: only what a change touches is drawn again.
#pragma once

#include <cstdint>
#include <vector>

#include "envelope.hpp"
#include "layout.hpp"
#include "render.hpp"
#include "stroke.hpp"
#include "tiles.hpp"

namespace eegvlm {

class Sweep {
  public:
    // Draws the first picture of `traces`. Samples, mask, background and output are the caller's and stay
    // where they are.
    Sweep(const Layout& layout, const std::vector<Scaling>& scaling, const Traces& traces,
          const Output& output);
    Sweep(const Sweep&) = delete;
    Sweep& operator=(const Sweep&) = delete;

    // After samples [begin, end) of any channel, or their mask, have changed: leaves the bytes that drawing
    // the whole picture would.
    void redraw(int64_t begin, int64_t end);

    int64_t samples() const { return grid_.samples; }

  private:
    Layout layout_;
    std::vector<Scaling> scaling_;
    Traces traces_;
    Output output_;
    Grid grid_;
    Envelope envelope_;
    std::vector<std::vector<float>> positions_;  // by channel, kSpare before and after
    std::vector<Stroke> strokes_;
    Tiles tiles_;
};

}  // namespace eegvlm
