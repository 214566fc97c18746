#include <algorithm>

#include "check.hpp"
#include "tile.hpp"

namespace eegvlm::checks {
namespace {

std::vector<uint8_t> gray_of(const Tile& tile, int height) {
    std::vector<uint8_t> gray(static_cast<size_t>(height * Tile::kWidth));
    tile.resolve(gray.data(), Tile::kWidth);
    return gray;
}

void coverage_is_the_share_of_the_pixel() {
    const Layout layout({16, 8, 1, 1, 1.0});
    Tile tile(layout);
    tile.clear();
    for (int cut = 0; cut < layout.sub_columns; ++cut) tile.add(3, kOne + kOne / 2, 3 * kOne + kOne / 4);
    const auto gray = gray_of(tile, 8);
    const auto column = [&](size_t y) { return static_cast<int>(gray[y * Tile::kWidth + 3]); };
    CHECK_EQUAL(column(0), 255);
    CHECK_EQUAL(column(1), 127);
    CHECK_EQUAL(column(2), 0);
    CHECK_EQUAL(column(3), 191);
    CHECK_EQUAL(column(4), 255);
    CHECK_EQUAL(static_cast<int>(gray[2 * Tile::kWidth + 4]), 255);
}

void the_last_row_can_be_full() {
    const Layout layout({16, 8, 1, 1, 1.0});
    Tile tile(layout);
    tile.clear();
    const std::vector<int32_t> top(static_cast<size_t>(16 * layout.sub_columns), 0);
    const std::vector<int32_t> bottom(top.size(), 8 * kOne);
    tile.add(top.data(), bottom.data(), 16 * layout.sub_columns, 0);
    const auto gray = gray_of(tile, 8);
    CHECK(std::all_of(gray.begin(), gray.end(), [](uint8_t value) { return value == 0; }));
}

void empty_intervals_add_nothing() {
    const Layout layout({16, 8, 1, 1, 1.0});
    Tile tile(layout);
    tile.clear();
    tile.add(0, 777, 777);
    const auto gray = gray_of(tile, 8);
    CHECK(std::all_of(gray.begin(), gray.end(), [](uint8_t value) { return value == 255; }));
}

void many_parts_of_one_cut_add_up() {
    const Layout layout({16, 8, 1, 1, 1.0});
    Tile tile(layout);
    tile.clear();
    for (int cut = 0; cut < layout.sub_columns; ++cut)
        for (int32_t y = 0; y < 8 * kOne; y += 2) tile.add(0, y, y + 1);
    const auto gray = gray_of(tile, 8);
    for (size_t y = 0; y < 8; ++y) CHECK_EQUAL(static_cast<int>(gray[y * Tile::kWidth]), 127);
}

}  // namespace

void tile() {
    coverage_is_the_share_of_the_pixel();
    the_last_row_can_be_full();
    empty_intervals_add_nothing();
    many_parts_of_one_cut_add_up();
}

}  // namespace eegvlm::checks
