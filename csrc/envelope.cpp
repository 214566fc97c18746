#include "envelope.hpp"

#include <algorithm>
#include <cmath>

#include "fixed.hpp"
#include "loops.hpp"

namespace eegvlm {
namespace {

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

}  // namespace

// Cell c spans [c, c + 1] - (taps - 1) / 2 in sub-columns, so that the cut through the middle of sub-column j
// lies in the middle of cells j .. j + taps - 1. Sample i lies at (i + 1/2) * columns / samples. Both are
// kept as whole numbers, so that a cell's edge and its samples never disagree about which comes first.
Grid::Grid(const Layout& layout, int64_t count)
    : samples(count),
      columns(layout.columns),
      taps(layout.taps),
      highest(static_cast<float>(layout.half_stroke)),
      lowest(static_cast<float>(layout.strip_height - layout.half_stroke)),
      apart(7 * count <= 6 * static_cast<int64_t>(layout.columns)) {
    const auto edges = static_cast<size_t>(columns + taps - 1);
    left.resize(edges);
    share.resize(edges);
    for (size_t c = 0; c < edges; ++c) {
        const int64_t at = (2 * static_cast<int64_t>(c) + 1 - taps) * samples - columns;
        const int64_t before = floor_div(at - 1, 2 * static_cast<int64_t>(columns));
        left[c] = static_cast<int32_t>(before);
        share[c] = static_cast<float>(static_cast<double>(at - before * 2 * columns) /
                                      static_cast<double>(2 * static_cast<int64_t>(columns)));
    }
    cells.resize(static_cast<size_t>(samples));
    for (int64_t i = 0; i < samples; ++i)
        cells[static_cast<size_t>(i)] =
            static_cast<int32_t>(floor_div((2 * i + 1) * columns + (taps - 1) * samples, 2 * samples));
}

Envelope::Envelope(const Grid& grid) : grid_(grid) {
    const auto room = static_cast<size_t>(cells() + kSpare);
    edge_.resize(room);
    low_.assign(room, kNoLow);
    high_.assign(room, kNoHigh);
    heights_.resize(static_cast<size_t>(grid.samples));
}

void Envelope::trace_run(const float* positions, int64_t begin, int64_t end) {
    const Loops& loop = loops();
    const int32_t from = grid_.cell_of(begin), to = grid_.cell_of(end - 1);
    const auto first = static_cast<size_t>(from), last = static_cast<size_t>(to);
    low_[first] = kNoLow;
    high_[first] = kNoHigh;
    if (to > from) {
        const size_t next = first + 1;
        loop.read_edges(positions, &grid_.left[next], &grid_.share[next], grid_.apart, grid_.highest,
                        grid_.lowest, &edge_[next], to - from);
        loop.span(&edge_[next], &low_[next], &high_[next], to - from - 1);
        low_[first] = high_[first] = edge_[next];
        low_[last] = high_[last] = edge_[last];
    }
    const auto at = static_cast<size_t>(begin);
    loop.settle(positions + begin, end - begin, grid_.highest, grid_.lowest, &heights_[at]);
    loop.include(&heights_[at], &grid_.cells[at], end - begin, low_.data(), high_.data());
}

void Envelope::retrace(const float* positions, int64_t begin, int64_t end) {
    const Loops& loop = loops();
    const int64_t before = std::max<int64_t>(begin - 1, 0), after = std::min(end, grid_.samples - 1);
    const int32_t from = grid_.cell_of(before), to = grid_.cell_of(after);
    if (before == 0 || after == grid_.samples - 1) return trace_run(positions, 0, grid_.samples);
    // Edges from the cell of the sample before to the far edge of the cell of the sample after.
    const auto first = static_cast<size_t>(from);
    const int32_t count = std::min(to + 2, cells()) - from;
    loop.read_edges(positions, &grid_.left[first], &grid_.share[first], grid_.apart, grid_.highest,
                    grid_.lowest, &edge_[first], count);
    const int32_t ends = grid_.cell_of(grid_.samples - 1), starts = grid_.cell_of(0);
    if (from == starts || to == ends) return trace_run(positions, 0, grid_.samples);
    loop.span(&edge_[first], &low_[first], &high_[first], to - from + 1);
    const auto cell_begin = grid_.cells.begin();
    const int64_t low = std::lower_bound(cell_begin, grid_.cells.end(), from) - cell_begin;
    const int64_t high = std::upper_bound(cell_begin, grid_.cells.end(), to) - cell_begin;
    const auto at = static_cast<size_t>(low);
    loop.settle(positions + low, high - low, grid_.highest, grid_.lowest, &heights_[at]);
    loop.include(&heights_[at], &grid_.cells[at], high - low, low_.data(), high_.data());
}

// Only cells that a cut can see together with another run.
void Envelope::keep_pieces(int32_t first, int32_t last) {
    const auto keep = [&](int32_t from, int32_t to) {
        for (int32_t c = from; c <= to; ++c) {
            const auto at = static_cast<size_t>(c);
            // Runs shorter than a cell pile up in it: one that touches the one before is one piece with it.
            if (first == last && !pieces_.empty() && pieces_.back().cell == c) {
                Piece& before = pieces_.back();
                if (low_[at] <= before.high && high_[at] >= before.low) {
                    before.low = std::min(before.low, low_[at]);
                    before.high = std::max(before.high, high_[at]);
                    continue;
                }
            }
            pieces_.push_back({c, runs_, low_[at], high_[at]});
        }
    };
    if (last - first < 2 * grid_.taps) return keep(first, last);
    keep(first, first + grid_.taps - 1);
    keep(last - grid_.taps + 1, last);
}

void Envelope::add_run(const float* positions, int64_t begin, int64_t end) {
    const int32_t first = grid_.cell_of(begin);
    const auto at = static_cast<size_t>(first);
    const int16_t low = low_[at], high = high_[at];  // of earlier runs
    trace_run(positions, begin, end);
    keep_pieces(first, grid_.cell_of(end - 1));
    low_[at] = std::min(low_[at], low);
    high_[at] = std::max(high_[at], high);
    ++runs_;
}

void Envelope::trace(const float* positions, bool whole) {
    const int64_t samples = grid_.samples;
    runs_ = 0;
    pieces_.clear();
    const bool partly = !whole || samples == 0;
    const int32_t first = partly ? cells() : grid_.cell_of(0);
    const int32_t last = partly ? cells() : grid_.cell_of(samples - 1) + 1;
    std::fill(low_.begin(), low_.begin() + first, kNoLow);
    std::fill(high_.begin(), high_.begin() + first, kNoHigh);
    std::fill(low_.begin() + last, low_.end(), kNoLow);
    std::fill(high_.begin() + last, high_.end(), kNoHigh);
    if (!partly) {
        trace_run(positions, 0, samples);
        runs_ = 1;
        return;
    }
    const auto next = [&](int64_t from, bool missing) {
        while (from < samples && std::isnan(positions[from]) != missing) ++from;
        return from;
    };
    for (int64_t from = next(0, false); from < samples;) {
        const int64_t to = next(from, true);
        add_run(positions, from, to);
        from = next(to, false);
    }
}

}  // namespace eegvlm
