// Where samples and cells of a strip meet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "layout.hpp"

namespace eegvlm {

// The same for all traces of a strip.
struct Grid {
    Grid(const Layout& layout, int64_t samples);

    int32_t cell_of(int64_t sample) const { return cells[static_cast<size_t>(sample)]; }

    int64_t samples;
    int32_t columns, taps;
    float highest, lowest;       // where the middle of the stroke is held
    bool apart;                  // no cell holds more than one sample
    std::vector<int32_t> left;   // the sample before the left edge of each cell, and of one cell more
    std::vector<float> share;    // how far the edge lies from it towards the next: (0, 1]
    std::vector<int32_t> cells;  // by sample
};

}  // namespace eegvlm
