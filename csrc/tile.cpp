#include "tile.hpp"

#include <algorithm>

namespace eegvlm {

Tile::Tile(int height) : edges_(static_cast<size_t>((height + 1) * kWidth)) {}

void Tile::clear() { std::fill(edges_.begin(), edges_.end(), 0); }

void Tile::begin() {
    std::fill_n(sum_, kWidth, 0);
    std::fill_n(carry_, kWidth, 0);
    row_ = edges_.data();
}

void Tile::next_row(uint8_t gray[kWidth]) {
    constexpr int32_t kFull = kSubColumns * kOne;
    for (int x = 0; x < kWidth; ++x) {
        const int32_t packed = row_[x];
        const int32_t within = static_cast<int16_t>(packed & 0xffff);
        const int32_t covered = sum_[x] + carry_[x] + within;
        sum_[x] = covered;
        carry_[x] = (packed - within) / 65536;
        gray[x] = static_cast<uint8_t>(255 - (covered * 255 + kFull / 2) / kFull);
    }
    row_ += kWidth;
}

}  // namespace eegvlm
