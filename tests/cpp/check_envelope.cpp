#include <algorithm>
#include <cmath>
#include <limits>

#include "check.hpp"
#include "envelope.hpp"

namespace eegvlm::checks {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

Layout strip() { return Layout({64, 64, 1, 1, 1.0}); }

void a_flat_trace_is_one_height() {
    const Layout layout = strip();
    Envelope envelope(layout, 100);
    const std::vector<float> flat(100, 5000.0f);
    envelope.trace(flat.data());
    CHECK(envelope.unbroken());
    for (size_t c = 0; c < envelope.low().size(); ++c) {
        const bool empty = envelope.low()[c] > envelope.high()[c];
        CHECK(empty || (envelope.low()[c] == 5000 && envelope.high()[c] == 5000));
    }
}

void neighboring_cells_share_their_edge() {
    const Layout layout = strip();
    for (const int64_t samples : {2, 37, 2048, 30000}) {
        Envelope envelope(layout, samples);
        std::vector<float> ramp(static_cast<size_t>(samples));
        for (size_t i = 0; i < ramp.size(); ++i)
            ramp[i] = 16384.0f * static_cast<float>(i) / static_cast<float>(samples);
        envelope.trace(ramp.data());
        for (size_t c = 1; c < envelope.low().size(); ++c) {
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
    Envelope envelope(layout, 50000);
    envelope.trace(spike.data());
    CHECK_EQUAL(*std::min_element(envelope.low().begin(), envelope.low().end()), 2000);
}

void the_middle_of_the_stroke_is_held_within_the_strip() {
    const Layout layout = strip();
    const std::vector<float> wild{-1e12f, 1e12f, 0.0f, 1e12f};
    Envelope envelope(layout, 4);
    envelope.trace(wild.data());
    CHECK_EQUAL(*std::min_element(envelope.low().begin(), envelope.low().end()), layout.half_stroke);
    const int32_t bottom = layout.strip_height - layout.half_stroke;
    CHECK_EQUAL(*std::max_element(envelope.high().begin(), envelope.high().end()), bottom);
}

void nothing_is_drawn_without_samples() {
    const Layout layout = strip();
    for (const int64_t samples : {0, 9}) {
        Envelope envelope(layout, samples);
        const std::vector<float> missing(static_cast<size_t>(samples), kMissing);
        envelope.trace(missing.data());
        CHECK(envelope.unbroken());
        for (size_t c = 0; c < envelope.low().size(); ++c) CHECK(envelope.low()[c] > envelope.high()[c]);
    }
}

void gaps_part_the_trace_into_runs() {
    const Layout layout = strip();
    const std::vector<float> broken{kMissing, 100.0f, 5000.0f, kMissing, 9000.0f, kMissing, kMissing, 200.0f};
    Envelope envelope(layout, 8);
    envelope.trace(broken.data());
    CHECK(!envelope.unbroken());
    CHECK_EQUAL(envelope.pieces().back().run, 2);
    CHECK_EQUAL(static_cast<size_t>(envelope.first_piece().back()), envelope.pieces().size());
    const auto by_cell = [](const Piece& a, const Piece& b) { return a.cell < b.cell; };
    CHECK(std::is_sorted(envelope.pieces().begin(), envelope.pieces().end(), by_cell));
}

void a_gap_after_an_edge_that_lies_on_a_sample_is_not_read() {
    const Layout layout = strip();
    const int64_t samples = layout.columns;
    std::vector<float> alternating(static_cast<size_t>(samples), 3000.0f);
    for (size_t i = 1; i < alternating.size(); i += 2) alternating[i] = kMissing;
    Envelope envelope(layout, samples);
    envelope.trace(alternating.data());
    for (const Piece& piece : envelope.pieces()) CHECK(piece.low == 3000 && piece.high == 3000);
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
}

}  // namespace eegvlm::checks
