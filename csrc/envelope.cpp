#include "envelope.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "pixel_math.hpp"
#include "simd/loops.hpp"

namespace eegvlm {
Envelope::Envelope(const Grid& grid) : grid_(grid) {
    const auto room = static_cast<size_t>(cells() + kSpare);
    edge_.resize(room);
    inside_.resize(room);
    low_.assign(room, kNoLow);
    high_.assign(room, kNoHigh);
    if (!grid.apart) heights_.resize(static_cast<size_t>(grid.samples));
}

void Envelope::trace_run(const float* positions, int64_t begin, int64_t end) {
    const Loops& loop = loops();
    const int32_t from = grid_.cell_of(begin), to = grid_.cell_of(end - 1);
    const auto first = static_cast<size_t>(from), last = static_cast<size_t>(to), next = first + 1;
    if (grid_.apart) {
        low_[first] = high_[first] =
            static_cast<int16_t>(settle(positions[begin], grid_.highest, grid_.lowest));
        if (to == from) return;
        loop.read_apart(positions, &grid_.left[next], &grid_.share[next], grid_.highest, grid_.lowest,
                        &edge_[next], &inside_[next], to - from);
        loop.span(&edge_[next], &inside_[next], &low_[next], &high_[next], to - from - 1);
        std::tie(low_[last], high_[last]) = std::minmax({edge_[last], inside_[last]});
        low_[first] = std::min(low_[first], edge_[next]);
        high_[first] = std::max(high_[first], edge_[next]);
        return;
    }
    low_[first] = kNoLow;
    high_[first] = kNoHigh;
    if (to > from) {
        loop.read_edges(positions, &grid_.left[next], &grid_.share[next], grid_.highest, grid_.lowest,
                        &edge_[next], to - from);
        loop.span(&edge_[next], &edge_[next], &low_[next], &high_[next], to - from - 1);
        low_[first] = high_[first] = edge_[next];
        low_[last] = high_[last] = edge_[last];
    }
    const auto at = static_cast<size_t>(begin);
    loop.settle(positions + begin, end - begin, grid_.highest, grid_.lowest, &heights_[at]);
    loop.include(&heights_[at], &grid_.cells[at], end - begin, low_.data(), high_.data());
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
    trace_between(positions, whole, 0, grid_.samples, 0, static_cast<int32_t>(low_.size()) - 1);
}

void Envelope::trace_cells(const float* positions, bool whole, int32_t first, int32_t last) {
    // From the sample before the first cell to the one after the last.
    const auto left = [&](int32_t cell) { return grid_.left[static_cast<size_t>(cell)]; };
    const int64_t from = std::clamp<int64_t>(left(first), 0, grid_.samples);
    const int64_t to = std::clamp<int64_t>(static_cast<int64_t>(left(last + 1)) + 2, from, grid_.samples);
    const auto missing = [](float y) { return std::isnan(y); };
    trace_between(positions, whole || std::none_of(positions + from, positions + to, missing), from, to,
                  first, last);
}

void Envelope::trace_between(const float* positions, bool whole, int64_t begin, int64_t end, int32_t first,
                             int32_t last) {
    runs_ = 0;
    pieces_.clear();
    const auto clear = [&](int32_t from, int32_t to) {
        if (from >= to) return;
        std::fill(low_.begin() + from, low_.begin() + to, kNoLow);
        std::fill(high_.begin() + from, high_.begin() + to, kNoHigh);
    };
    if (begin == end) return clear(first, last + 1);
    const int32_t starts = grid_.cell_of(begin), ends = grid_.cell_of(end - 1);
    if (whole) {
        clear(first, starts);
        clear(ends + 1, last + 1);
        trace_run(positions, begin, end);
        runs_ = 1;
        return;
    }
    clear(std::min(first, starts), std::max(last, ends) + 1);
    const auto next = [&](int64_t from, bool missing) {
        while (from < end && std::isnan(positions[from]) != missing) ++from;
        return from;
    };
    for (int64_t from = next(begin, false); from < end;) {
        const int64_t to = next(from, true);
        add_run(positions, from, to);
        from = next(to, false);
    }
}

}  // namespace eegvlm
