#include "tile.hpp"

#include <algorithm>

#include "simd.hpp"

namespace eegvlm {
namespace {

// Sums edges downwards; `darkness` is what one unit of coverage takes from white, in 1/65536.
EEGVLM_MULTIVERSION
void sum_rows(const int32_t* __restrict edges, int height, int32_t darkness, uint8_t* __restrict gray,
              int gray_stride) {
    constexpr int kWidth = Tile::kWidth;
    int32_t above[kWidth] = {};
    constexpr int32_t kHalf = 1 << 15;
    for (int y = 0; y < height; ++y, edges += kWidth, gray += gray_stride) {
        for (int x = 0; x < kWidth; ++x) {
            const int32_t within = static_cast<int16_t>(edges[x]);
            const int32_t below = (edges[x] - within) >> 16;
            const int32_t covered = above[x] + within;
            above[x] = covered + below;
            gray[x] = static_cast<uint8_t>(255 - ((covered * darkness + kHalf) >> 16));
        }
    }
}

}  // namespace

Tile::Tile(const Layout& layout)
    : height_(layout.geometry.height),
      sub_columns_(layout.sub_columns),
      edges_(static_cast<size_t>((height_ + 1) * kWidth)) {}

void Tile::clear() { std::fill(edges_.begin(), edges_.end(), 0); }

void Tile::add(const int32_t* top, const int32_t* bottom, int columns, int32_t base) {
    int32_t* column = edges_.data();
    for (int j = 0; j < columns; j += sub_columns_, ++column)
        for (int cut = j; cut < j + sub_columns_; ++cut) add(column, base + top[cut], base + bottom[cut]);
}

void Tile::resolve(uint8_t* gray, int gray_stride) const {
    const int32_t darkness = 255 * 65536 / (sub_columns_ * kOne);
    sum_rows(edges_.data(), height_, darkness, gray, gray_stride);
}

}  // namespace eegvlm
