// A few pixel columns of the picture: edges are scattered into it, coverage is summed out of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "layout.hpp"

namespace eegvlm {

class Tile {
  public:
    static constexpr int kWidth = 16;  // px; one cache line of edges

    explicit Tile(const Layout& layout);

    void clear();

    // Adds `columns` intervals [base + top, base + bottom), in vertical units from the picture's top, to
    // successive sub-columns, the first of them the first of the tile. Intervals must lie in the picture, and
    // those of one sub-column apart from one another. An empty interval adds nothing.
    void add(const int32_t* top, const int32_t* bottom, int columns, int32_t base);

    // Adds one interval to one sub-column of column x.
    void add(int x, int32_t top, int32_t bottom) { add(&edges_[static_cast<size_t>(x)], top, bottom); }

    // Writes `kWidth` gray values to each row: 255 where nothing was added, 0 where all is covered.
    void resolve(uint8_t* gray, int gray_stride) const;

  private:
    static void add(int32_t* column, int32_t top, int32_t bottom) {
        column[(top >> kOneBits) * kWidth] += weights(top);
        column[(bottom >> kOneBits) * kWidth] -= weights(bottom);
    }

    // An edge weighs on the pixel it lies in and on all below it: what it lacks in the first is made up in
    // the second. Both weights share a word, the second in the upper half.
    static int32_t weights(int32_t y) {
        const int32_t lacking = y & (kOne - 1);
        return kOne - lacking + (lacking << 16);
    }

    int height_;
    int sub_columns_;
    std::vector<int32_t> edges_;
};

}  // namespace eegvlm
