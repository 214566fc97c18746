#include <algorithm>

#include "check.hpp"
#include "pixel_math.hpp"
#include "simd/loops.hpp"

namespace eegvlm::checks {
namespace {

constexpr int32_t kCuts = 8, kBits = 8, kOne = 1 << kBits, kHeight = 8;

// A tile of eight rows, and the gray picture it becomes.
struct Tile {
    std::vector<int32_t> edges = std::vector<int32_t>((kHeight + 1) * kTileWidth, kNoEdges);
    std::vector<uint8_t> gray = std::vector<uint8_t>(kHeight * kTileWidth);
    Reach reach{kHeight, -1};

    void add(int32_t x, const std::vector<int16_t>& top, const std::vector<int16_t>& bottom) {
        const std::vector<int32_t> column(top.size(), x);
        const Reach touched = loops().scatter(top.data(), bottom.data(), column.data(),
                                              static_cast<int32_t>(top.size()), 0, kBits, edges.data(), {});
        reach = {std::min(reach.first, touched.first), std::max(reach.last, touched.last)};
    }

    void resolve() {
        const Canvas canvas{Format::u8_gray,
                            reinterpret_cast<std::byte*>(gray.data()),
                            kTileWidth,
                            kHeight,
                            {},
                            {},
                            nullptr,
                            false};
        loops().resolve(
            {edges.data(), 0, kHeight, reach.first, reach.last, 0, kTileWidth, darkness_of(kCuts * kOne)},
            canvas);
    }

    int at(size_t x, size_t y) const { return gray[y * kTileWidth + x]; }
};

std::vector<int16_t> all(int y) { return std::vector<int16_t>(kCuts, static_cast<int16_t>(y)); }

void coverage_is_the_share_of_the_pixel() {
    Tile tile;
    tile.add(3, all(kOne + kOne / 2), all(3 * kOne + kOne / 4));
    tile.resolve();
    const int expected[] = {255, 127, 0, 191, 255};
    for (size_t y = 0; y < 5; ++y) CHECK_EQUAL(tile.at(3, y), expected[y]);
    CHECK_EQUAL(tile.at(4, 2), 255);
}

void the_last_row_can_be_full() {
    Tile tile;
    for (int x = 0; x < kTileWidth; ++x) tile.add(x, all(0), all(kHeight * kOne));
    tile.resolve();
    CHECK(std::all_of(tile.gray.begin(), tile.gray.end(), [](uint8_t value) { return value == 0; }));
}

void empty_intervals_add_nothing() {
    Tile tile;
    tile.add(0, all(777), all(777));
    tile.resolve();
    CHECK(std::all_of(tile.gray.begin(), tile.gray.end(), [](uint8_t value) { return value == 255; }));
}

void many_parts_of_one_cut_add_up() {
    Tile tile;
    for (int y = 0; y < kHeight * kOne; y += 2) tile.add(0, all(y), all(y + 1));
    tile.resolve();
    for (size_t y = 0; y < kHeight; ++y) CHECK_EQUAL(tile.at(0, y), 127);
}

void a_tile_is_clear_again_once_it_is_written() {
    Tile tile;
    tile.add(5, all(100), all(8 * kOne));
    tile.resolve();
    CHECK(std::all_of(tile.edges.begin(), tile.edges.end(), [](int32_t edge) { return edge == kNoEdges; }));
}

}  // namespace

void tile() {
    coverage_is_the_share_of_the_pixel();
    the_last_row_can_be_full();
    empty_intervals_add_nothing();
    many_parts_of_one_cut_add_up();
    a_tile_is_clear_again_once_it_is_written();
}

}  // namespace eegvlm::checks
