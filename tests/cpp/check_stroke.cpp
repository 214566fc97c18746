#include <cmath>
#include <limits>

#include "check.hpp"
#include "simd/loops.hpp"
#include "stroke.hpp"

namespace eegvlm::checks {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

void trace(Envelope& envelope, const std::vector<float>& positions) {
    std::vector<float> spaced(static_cast<size_t>(kSpare), kMissing);
    spaced.insert(spaced.end(), positions.begin(), positions.end());
    spaced.resize(spaced.size() + kSpare, kMissing);
    bool whole = true;
    for (const float y : positions) whole = whole && y == y;
    envelope.trace(spaced.data() + kSpare, whole);
}

void a_flat_trace_is_one_line_width_high() {
    for (const double width : {0.5, 1.0, 1.5, 3.0}) {
        const Layout layout({64, 64, 1, 1, width});
        const std::vector<float> flat(640, 7000.0f);
        const Grid grid(layout, 640);
        Envelope envelope(grid);
        trace(envelope, flat);
        Stroke stroke(layout);
        stroke.follow(envelope);
        for (size_t j = 1; j + 1 < static_cast<size_t>(layout.columns); ++j)
            CHECK_EQUAL(stroke.bottom()[j] - stroke.top()[j], 2 * layout.half_stroke);
        CHECK(stroke.more().empty());
    }
}

void a_steep_trace_keeps_its_width_sideways() {
    const Layout layout({64, 64, 1, 1, 1.0});
    const std::vector<float> step{1000.0f, 1000.0f, 15000.0f, 15000.0f};
    std::vector<float> positions(4000);
    for (size_t i = 0; i < positions.size(); ++i) positions[i] = step[i / 1000];
    const Grid grid(layout, 4000);
    Envelope envelope(grid);
    trace(envelope, positions);
    Stroke stroke(layout);
    stroke.follow(envelope);
    int tall = 0;
    for (size_t j = 0; j < static_cast<size_t>(layout.columns); ++j)
        tall += stroke.bottom()[j] - stroke.top()[j] > 13000;
    CHECK(std::abs(tall - layout.sub_columns) <= 1);
}

void the_two_sides_of_a_narrow_gap_stay_apart() {
    const Layout layout({64, 64, 1, 1, 4.0});
    std::vector<float> positions(640, 2000.0f);
    for (size_t i = 321; i < positions.size(); ++i) positions[i] = 14000.0f;
    positions[320] = kMissing;
    const Grid grid(layout, 640);
    Envelope envelope(grid);
    trace(envelope, positions);
    Stroke stroke(layout);
    stroke.follow(envelope);
    CHECK(!stroke.more().empty());
    for (const Span& span : stroke.more()) {
        const auto j = static_cast<size_t>(span.column);
        CHECK(stroke.bottom()[j] < span.top);
        CHECK(span.top < span.bottom);
    }
}

void a_gap_far_away_changes_nothing_here() {
    const Layout layout({64, 64, 1, 1, 1.0});
    std::vector<float> positions(640);
    for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<float>((i * 7919) % 16000);
    const Grid grid(layout, 640);
    Envelope whole(grid), broken(grid);
    trace(whole, positions);
    positions[600] = kMissing;
    trace(broken, positions);
    Stroke a(layout), b(layout);
    a.follow(whole);
    b.follow(broken);
    for (size_t j = 0; j < static_cast<size_t>(layout.columns) / 2; ++j)
        CHECK(a.top()[j] == b.top()[j] && a.bottom()[j] == b.bottom()[j]);
}

}  // namespace

void stroke() {
    a_flat_trace_is_one_line_width_high();
    a_steep_trace_keeps_its_width_sideways();
    the_two_sides_of_a_narrow_gap_stay_apart();
    a_gap_far_away_changes_nothing_here();
}

}  // namespace eegvlm::checks
