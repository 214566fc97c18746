#include "envelope.hpp"

#include <algorithm>
#include <cmath>

#include "simd.hpp"

namespace eegvlm {
namespace {

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// Straight lines between samples, read at the left edges of cells and held between highest and lowest.
EEGVLM_MULTIVERSION
void read_edges(const float* __restrict positions, const int32_t* __restrict left,
                const float* __restrict share, float highest, float lowest, int32_t* __restrict edge,
                int32_t count) {
    for (int32_t c = 0; c < count; ++c) {
        const float* at = positions + left[c];
        const float y = at[0] * (1.0f - share[c]) + at[1] * share[c];
        edge[c] = static_cast<int32_t>(std::min(std::max(y, highest), lowest) + 0.5f);
    }
}

EEGVLM_MULTIVERSION
void span_edges(const int32_t* __restrict edge, int32_t* __restrict low, int32_t* __restrict high,
                int32_t count) {
    for (int32_t c = 0; c < count; ++c) {
        low[c] = std::min(edge[c], edge[c + 1]);
        high[c] = std::max(edge[c], edge[c + 1]);
    }
}

}  // namespace

// Cell c spans [c, c + 1] - (taps - 1) / 2 in sub-columns, so that the cut through the middle of sub-column j
// lies in the middle of cells j .. j + taps - 1. Sample i lies at (i + 1/2) * columns / samples. Both are
// kept as whole numbers, so that a cell's edge and its samples never disagree about which comes first.
Envelope::Envelope(const Layout& layout, int64_t samples)
    : samples_(samples),
      columns_(layout.columns),
      taps_(layout.taps),
      highest_(static_cast<float>(layout.half_stroke)),
      lowest_(static_cast<float>(layout.strip_height - layout.half_stroke)) {
    const auto cells = static_cast<size_t>(columns_ + taps_ - 1);
    left_.resize(cells);
    share_.resize(cells);
    edge_.resize(cells);
    low_.resize(cells);
    high_.resize(cells);
    for (size_t c = 0; c < cells; ++c) {
        const int64_t at = (2 * static_cast<int64_t>(c) + 1 - taps_) * samples - columns_;
        const int64_t left = floor_div(at - 1, 2 * columns_);
        left_[c] = static_cast<int32_t>(left);
        share_[c] = static_cast<float>(static_cast<double>(at - left * 2 * columns_) /
                                       static_cast<double>(2 * columns_));
    }
}

int32_t Envelope::cell_of(int64_t sample) const {
    return static_cast<int32_t>(
        floor_div((2 * sample + 1) * columns_ + (taps_ - 1) * samples_, 2 * samples_));
}

int32_t Envelope::settle(float position) const {
    return static_cast<int32_t>(std::min(std::max(position, highest_), lowest_) + 0.5f);
}

Envelope::Cells Envelope::trace_run(const float* positions, int64_t begin, int64_t end) {
    const Cells cells{cell_of(begin), cell_of(end - 1)};
    const auto first = static_cast<size_t>(cells.first);
    const int32_t inner = cells.last - cells.first;  // edges between the run's cells
    low_[first] = kNone;
    high_[first] = -kNone;
    if (inner > 0) {
        const size_t next = first + 1;
        read_edges(positions, &left_[next], &share_[next], highest_, lowest_, &edge_[next], inner);
        span_edges(&edge_[next], &low_[next], &high_[next], inner - 1);
        low_[first] = high_[first] = edge_[next];
        const auto last = static_cast<size_t>(cells.last);
        low_[last] = high_[last] = edge_[last];
    }
    const double cells_per_sample = static_cast<double>(columns_) / static_cast<double>(samples_);
    const double origin = static_cast<double>(taps_ - 1) / 2.0 + cells_per_sample / 2.0;
    for (int64_t i = begin; i < end; ++i) {
        const auto near = static_cast<int32_t>(static_cast<double>(i) * cells_per_sample + origin);
        const auto c = static_cast<size_t>(std::clamp(near, cells.first, cells.last));
        const int32_t y = settle(positions[i]);
        low_[c] = std::min(low_[c], y);
        high_[c] = std::max(high_[c], y);
    }
    return cells;
}

void Envelope::keep_pieces(Cells cells, int32_t run) {
    for (int32_t c = cells.first; c <= cells.last; ++c) {
        const auto at = static_cast<size_t>(c);
        const int32_t low = low_[at];
        const int32_t high = high_[at];
        // Runs shorter than a cell pile up in it: one that touches the one before is one piece with it.
        if (!pieces_.empty() && pieces_.back().cell == c && cells.first == cells.last) {
            Piece& before = pieces_.back();
            if (low <= before.high && high >= before.low) {
                before.low = std::min(before.low, low);
                before.high = std::max(before.high, high);
                continue;
            }
        }
        pieces_.push_back({c, run, low, high});
    }
}

void Envelope::index_pieces() {
    const size_t cells = low_.size();
    std::fill(low_.begin(), low_.end(), kNone);
    std::fill(high_.begin(), high_.end(), -kNone);
    for (const Piece& piece : pieces_) {
        const auto c = static_cast<size_t>(piece.cell);
        low_[c] = std::min(low_[c], piece.low);
        high_[c] = std::max(high_[c], piece.high);
    }
    first_piece_.resize(cells + 1);
    size_t piece = 0;
    for (size_t c = 0; c <= cells; ++c) {
        while (piece < pieces_.size() && static_cast<size_t>(pieces_[piece].cell) < c) ++piece;
        first_piece_[c] = static_cast<int32_t>(piece);
    }
}

void Envelope::trace(const float* positions) {
    runs_ = 0;
    pieces_.clear();
    std::fill(low_.begin(), low_.end(), kNone);
    std::fill(high_.begin(), high_.end(), -kNone);

    const auto next = [&](int64_t from, bool missing) {
        while (from < samples_ && std::isnan(positions[from]) != missing) ++from;
        return from;
    };
    const int64_t begin = next(0, false);
    const int64_t end = next(begin, true);
    if (begin == samples_) return;
    if (next(end, false) == samples_) {
        trace_run(positions, begin, end);
        runs_ = 1;
        return;
    }
    for (int64_t from = begin; from < samples_;) {
        const int64_t to = next(from, true);
        keep_pieces(trace_run(positions, from, to), runs_++);
        from = next(to, false);
    }
    index_pieces();
}

}  // namespace eegvlm
