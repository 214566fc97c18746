#include <algorithm>
#include <cmath>
#include <limits>

#include "check.hpp"
#include "envelope.hpp"
#include "pixel_math.hpp"
#include "simd/loops.hpp"

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

Layout strip() { return Layout({64, 64, 1, 1, 1.0}); }

void a_flat_trace_is_one_height() {
    const Layout layout = strip();
    const Grid grid(layout, 100);
    Envelope envelope(grid);
    const std::vector<float> flat(100, 5000.0f);
    trace(envelope, flat);
    CHECK(envelope.unbroken());
    for (size_t c = 0; c < static_cast<size_t>(envelope.cells()); ++c) {
        const bool empty = envelope.low()[c] > envelope.high()[c];
        CHECK(empty || (envelope.low()[c] == 5000 && envelope.high()[c] == 5000));
    }
}

void neighboring_cells_share_their_edge() {
    const Layout layout = strip();
    for (const int64_t samples : {2, 37, 2048, 30000}) {
        const Grid grid(layout, samples);
        Envelope envelope(grid);
        std::vector<float> ramp(static_cast<size_t>(samples));
        for (size_t i = 0; i < ramp.size(); ++i)
            ramp[i] = 16384.0f * static_cast<float>(i) / static_cast<float>(samples);
        trace(envelope, ramp);
        for (size_t c = 1; c < static_cast<size_t>(envelope.cells()); ++c) {
            if (envelope.low()[c] > envelope.high()[c] || envelope.low()[c - 1] > envelope.high()[c - 1])
                continue;
            CHECK_EQUAL(envelope.low()[c], envelope.high()[c - 1]);
        }
    }
}

void every_sample_is_within_the_envelope() {
    const Layout layout = strip();
    std::vector<float> spike(50000, 8000.0f);
    spike[31234] = 2000.0f;
    const Grid grid(layout, 50000);
    Envelope envelope(grid);
    trace(envelope, spike);
    CHECK_EQUAL(*std::min_element(envelope.low(), envelope.low() + envelope.cells()), 2000);
}

void the_middle_of_the_stroke_is_held_within_the_strip() {
    const Layout layout = strip();
    const std::vector<float> wild{-1e12f, 1e12f, 0.0f, 1e12f};
    const Grid grid(layout, 4);
    Envelope envelope(grid);
    trace(envelope, wild);
    CHECK_EQUAL(*std::min_element(envelope.low(), envelope.low() + envelope.cells()), layout.half_stroke);
    const int32_t bottom = layout.strip_height - layout.half_stroke;
    CHECK_EQUAL(*std::max_element(envelope.high(), envelope.high() + envelope.cells()), bottom);
}

void nothing_is_drawn_without_samples() {
    const Layout layout = strip();
    for (const int64_t samples : {0, 9}) {
        const Grid grid(layout, samples);
        Envelope envelope(grid);
        const std::vector<float> missing(static_cast<size_t>(samples), kMissing);
        trace(envelope, missing);
        CHECK(envelope.unbroken());
        for (size_t c = 0; c < static_cast<size_t>(envelope.cells()); ++c)
            CHECK(envelope.low()[c] > envelope.high()[c]);
    }
}

void gaps_part_the_trace_into_runs() {
    const Layout layout = strip();
    const std::vector<float> broken{kMissing, 100.0f, 5000.0f, kMissing, 9000.0f, kMissing, kMissing, 200.0f};
    const Grid grid(layout, 8);
    Envelope envelope(grid);
    trace(envelope, broken);
    CHECK(!envelope.unbroken());
    CHECK_EQUAL(envelope.pieces().back().run, 2);
    const auto by_cell = [](const Piece& a, const Piece& b) { return a.cell < b.cell; };
    CHECK(std::is_sorted(envelope.pieces().begin(), envelope.pieces().end(), by_cell));
}

void a_gap_after_an_edge_that_lies_on_a_sample_is_not_read() {
    const Layout layout = strip();
    const int64_t samples = layout.columns;
    std::vector<float> alternating(static_cast<size_t>(samples), 3000.0f);
    for (size_t i = 1; i < alternating.size(); i += 2) alternating[i] = kMissing;
    const Grid grid(layout, samples);
    Envelope envelope(grid);
    trace(envelope, alternating);
    for (const Piece& piece : envelope.pieces()) CHECK(piece.low == 3000 && piece.high == 3000);
}

// Cells [first, last] traced alone are those of the whole, whatever was there before.
void part_of_a_trace_is_part_of_the_whole() {
    const Layout layout({17, 40, 2, 1, 1.0});
    const int64_t columns = layout.columns;
    for (const int64_t samples : {int64_t{0}, int64_t{1}, int64_t{2}, int64_t{23}, 6 * columns / 7 - 1,
                                  6 * columns / 7, 6 * columns / 7 + 1, 3 * columns})
        for (const uint32_t missing_of_ten : {0u, 1u, 6u}) {
            const Grid grid(layout, samples);
            uint32_t dice = 7;
            std::vector<float> positions(static_cast<size_t>(samples));
            bool whole = true;
            for (float& y : positions) {
                dice = dice * 1664525u + 1013904223u;
                y = (dice >> 16) % 10 < missing_of_ten ? kMissing : static_cast<float>(dice >> 18);
                whole = whole && y == y;
            }
            std::vector<float> spaced(static_cast<size_t>(kSpare), kMissing);
            spaced.insert(spaced.end(), positions.begin(), positions.end());
            spaced.resize(spaced.size() + kSpare, kMissing);
            Envelope all(grid), part(grid);
            all.trace(spaced.data() + kSpare, whole);
            const int32_t cells = all.cells();
            for (int32_t first = 0; first < cells; first += 5)
                for (int32_t last = first; last < cells; last += 1 + cells / 7) {
                    part.trace_cells(spaced.data() + kSpare, whole, first, last);
                    const auto empty = [](const Envelope& e, int32_t c) { return e.low()[c] > e.high()[c]; };
                    for (int32_t c = first; c <= last; ++c) {
                        CHECK_EQUAL(empty(part, c), empty(all, c));
                        if (empty(all, c)) continue;
                        CHECK_EQUAL(part.low()[c], all.low()[c]);
                        CHECK_EQUAL(part.high()[c], all.high()[c]);
                    }
                }
        }
}

}  // namespace

void envelope() {
    a_flat_trace_is_one_height();
    neighboring_cells_share_their_edge();
    every_sample_is_within_the_envelope();
    the_middle_of_the_stroke_is_held_within_the_strip();
    nothing_is_drawn_without_samples();
    gaps_part_the_trace_into_runs();
    a_gap_after_an_edge_that_lies_on_a_sample_is_not_read();
    part_of_a_trace_is_part_of_the_whole();
}

}  // namespace eegvlm::checks
