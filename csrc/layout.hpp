// Where a trace lies in the picture, in the fixed-point units of the kernel.
#pragma once

#include <cstdint>
#include <vector>

namespace eegvlm {

inline constexpr int kMostUnitBits = 8;
inline constexpr int kMaxSide = 4096;
inline constexpr int kMaxRows = 64;
inline constexpr int kMaxChannels = 8;

struct Geometry {
    int width;
    int height;
    int rows;
    int channels;
    double line_width;  // px
    int cuts = 8;       // vertical cuts through a pixel, at least: 2, 4 or 8

    bool operator==(const Geometry& other) const;
};

// The rows of the recording, unrolled, are one long strip of `columns` sub-columns. A cut through the stroke
// at one of them sees the `taps` cells of the trace around it, cell k raised by `profile[k]`.
struct Layout {
    explicit Layout(const Geometry& geometry);  // throws std::invalid_argument naming the argument

    int one() const { return 1 << unit_bits; }
    int strip_top(int row, int channel) const;  // vertical units from the picture's top

    Geometry geometry;
    int sub_columns;               // vertical cuts through each pixel column
    int row_columns;               // sub-columns of one row
    int columns;                   // sub-columns of all rows
    int taps;                      // cells under the stroke
    int unit_bits;                 // vertical units in one pixel: 2^unit_bits
    int strip_height;              // vertical units
    int half_stroke;               // vertical units
    std::vector<int16_t> profile;  // vertical units, one per tap, its own mirror image
    std::vector<int32_t> column;   // of the tile, by cut
};

}  // namespace eegvlm
