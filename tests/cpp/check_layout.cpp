#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "layout.hpp"

namespace eegvlm::checks {
namespace {

std::string refusal(const Geometry& geometry) {
    try {
        const Layout layout(geometry);
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "";
}

void names_the_argument_it_refuses() {
    CHECK(refusal({336, 336, 6, 1, 1.0}).empty());
    CHECK(refusal({0, 336, 6, 1, 1.0}).rfind("width", 0) == 0);
    CHECK(refusal({336, 4097, 6, 1, 1.0}).rfind("height", 0) == 0);
    CHECK(refusal({336, 336, 0, 1, 1.0}).rfind("rows", 0) == 0);
    CHECK(refusal({336, 336, 6, 9, 1.0}).rfind("channels", 0) == 0);
    CHECK(refusal({336, 336, 6, 1, 0.4}).rfind("line_width", 0) == 0);
    CHECK(refusal({336, 336, 6, 1, std::numeric_limits<double>::quiet_NaN()}).rfind("line_width", 0) == 0);
    CHECK(refusal({336, 40, 6, 1, 8.0}).rfind("height", 0) == 0);
    for (const int cuts : {-8, 0, 1, 3, 7, 16, std::numeric_limits<int>::min()})
        CHECK(refusal({336, 336, 6, 1, 1.0, cuts}).rfind("cuts: ", 0) == 0);
}

void strips_share_the_height_without_overlap() {
    for (const int height : {64, 97, 336, 4096})
        for (const int rows : {1, 5, 6, 7})
            for (const int channels : {1, 3}) {
                const Layout layout({336, height, rows, channels, 1.0});
                const int strips = rows * channels;
                for (int s = 0; s + 1 < strips; ++s) {
                    const int top = layout.strip_top(s / channels, s % channels);
                    CHECK(top + layout.strip_height <=
                          layout.strip_top((s + 1) / channels, (s + 1) % channels));
                }
                CHECK(layout.strip_top(rows - 1, channels - 1) + layout.strip_height <=
                      height * layout.one());
            }
}

void the_stroke_is_a_disc_over_whole_cells() {
    for (const int cuts : {2, 4, 8})
        for (const double width : {0.5, 0.7, 1.0, 1.3, 2.0, 3.1, 8.0}) {
            const Layout layout({336, 336, 6, 1, width, cuts});
            CHECK_EQUAL(static_cast<int>(layout.profile.size()), layout.taps);
            const double reach = static_cast<double>(layout.taps) / layout.sub_columns;
            const double miss = cuts == 8 ? 0.02 : 0.1;
            CHECK(reach > width * (1.0 - miss) && reach < width * (1.0 + miss));
            const std::vector<int16_t>& profile = layout.profile;
            const auto middle = profile.begin() + (layout.taps + 1) / 2;
            CHECK_EQUAL(*std::max_element(profile.begin(), profile.end()), layout.half_stroke);
            CHECK(std::equal(profile.begin(), profile.end(), profile.rbegin()));
            CHECK(std::is_sorted(profile.begin(), middle));
            CHECK(profile.front() >= 0);
        }
}

void steep_pictures_are_cut_more_often() {
    CHECK_EQUAL(Layout({336, 336, 6, 1, 1.0}).sub_columns, 8);
    CHECK_EQUAL(Layout({336, 336, 4, 1, 1.0}).sub_columns, 10);
    CHECK_EQUAL(Layout({896, 448, 1, 8, 1.0}).sub_columns, 10);
    CHECK_EQUAL(Layout({336, 336, 3, 1, 1.0}).sub_columns, 12);
    CHECK_EQUAL(Layout({336, 336, 2, 1, 1.0}).sub_columns, 16);
    CHECK_EQUAL(Layout({336, 336, 1, 1, 1.0}).sub_columns, 20);
    CHECK_EQUAL(Layout({224, 336, 1, 1, 1.0}).sub_columns, 32);
    CHECK(Layout({224, 336, 1, 1, 7.77}).sub_columns < 64);
}

void fewer_cuts_asked_for_are_fewer_cuts() {
    CHECK_EQUAL(Layout({336, 336, 6, 1, 2.0, 4}).sub_columns, 5);
    CHECK_EQUAL(Layout({336, 336, 6, 1, 1.0, 4}).sub_columns, 5);
    CHECK_EQUAL(Layout({336, 336, 1, 1, 1.0, 4}).sub_columns, 13);
    CHECK_EQUAL(Layout({336, 336, 1, 1, 1.0, 2}).sub_columns, 8);
    CHECK_EQUAL(Layout({336, 336, 6, 1, 2.0, 2}).sub_columns, 3);
}

void a_thin_stroke_of_few_cuts_is_never_fewer_than_five_cells() {
    for (const int cuts : {2, 4, 8})
        for (const double width : {0.5, 0.7, 1.0, 1.3})
            CHECK(Layout({336, 336, 6, 1, width, cuts}).taps >= 4);
}

}  // namespace

void layout() {
    names_the_argument_it_refuses();
    strips_share_the_height_without_overlap();
    the_stroke_is_a_disc_over_whole_cells();
    steep_pictures_are_cut_more_often();
    fewer_cuts_asked_for_are_fewer_cuts();
    a_thin_stroke_of_few_cuts_is_never_fewer_than_five_cells();
}

}  // namespace eegvlm::checks
