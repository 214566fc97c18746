// What lies behind the trace: ticks along time and lines of equal amplitude.
#pragma once

#include <cstdint>
#include <vector>

#include "layout.hpp"

namespace eegvlm {

inline constexpr int kMaxTicks = 4096;
inline constexpr int kMaxScaleLines = 16;

struct Marks {
    int ticks;                        // parts of equal length that they divide the recording into, or 0
    std::vector<double> scale_lines;  // microvolts
    std::vector<double> uv_range;     // one per channel, or one for all
    int gray;                         // of a pixel that a mark covers
};

// One gray value per pixel, rows of pixels from the top. Marks are 1 px wide: ticks stand on the lower edge
// of each row, an eighth of a strip tall but at least 2 px; scale lines run through each strip, held in it as
// a stroke is. Throws std::invalid_argument naming the argument.
std::vector<uint8_t> background(const Layout& layout, const Marks& marks);

}  // namespace eegvlm
