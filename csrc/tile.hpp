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

    explicit Tile(int height);

    void clear();

    // Adds the interval [top, bottom), in vertical units from the picture's top, to one sub-column of column x.
    void add(int x, int32_t top, int32_t bottom) {
        edge(x, top, 1);
        edge(x, bottom, -1);
    }

    // Next row of gray values, from the picture's top down: 255 where nothing was added, 0 where all is covered.
    void begin();
    void next_row(uint8_t gray[kWidth]);

  private:
    // An edge between two pixels weighs on the pixel it lies in and on the one below: two sums in one word.
    void edge(int x, int32_t y, int32_t sign) {
        const int32_t below = y & (kOne - 1);
        const int32_t within = kOne - below;
        edges_[static_cast<size_t>((y / kOne) * kWidth + x)] += sign * (within + below * 65536);
    }

    std::vector<int32_t> edges_;
    int32_t sum_[kWidth];
    int32_t carry_[kWidth];
    const int32_t* row_ = nullptr;
};

}  // namespace eegvlm
