#include "envelope.hpp"

#include <algorithm>
#include <cmath>

namespace eegvlm {

// Cell c spans [c, c + 1] + origin_ in sub-columns, so that the cut through the middle of sub-column j lies in
// the middle of cells j .. j + taps - 1.
Envelope::Envelope(const Layout& layout)
    : layout_(layout), cells_(layout.columns + layout.taps - 1), origin_((1 - layout.taps) / 2.0) {
    low_.resize(static_cast<size_t>(cells_));
    high_.resize(static_cast<size_t>(cells_));
    edge_.resize(static_cast<size_t>(cells_) + 1);
}

double Envelope::cell_at(int64_t sample) const {
    return (static_cast<double>(sample) + 0.5) * cells_per_sample_ - origin_;
}

int32_t Envelope::settle(float position) const {
    const auto top = static_cast<float>(layout_.half_stroke);
    const auto bottom = static_cast<float>(layout_.strip_height - layout_.half_stroke);
    return static_cast<int32_t>(std::clamp(position, top, bottom) + 0.5f);
}

Envelope::CellRange Envelope::trace_run(const float* positions, int64_t begin, int64_t end) {
    const double start = cell_at(begin);
    const double stop = cell_at(end - 1);
    const auto limit = static_cast<double>(cells_ - 1);
    const auto first = static_cast<int32_t>(std::clamp(std::floor(start), 0.0, limit));
    const auto last = static_cast<int32_t>(std::clamp(std::floor(stop), 0.0, limit));

    for (int32_t c = first; c <= last; ++c) {
        low_[static_cast<size_t>(c)] = kNone;
        high_[static_cast<size_t>(c)] = -kNone;
    }
    for (int32_t c = first + 1; c <= last; ++c) {
        const double at = (c + origin_) * samples_per_cell_ - 0.5;
        const auto left = std::clamp(static_cast<int64_t>(at), begin, end - 2);
        const float share = std::clamp(static_cast<float>(at - static_cast<double>(left)), 0.0f, 1.0f);
        const int32_t y = settle(positions[left] * (1.0f - share) + positions[left + 1] * share);
        edge_[static_cast<size_t>(c)] = y;
    }
    for (int32_t c = first + 1; c <= last; ++c) {
        const auto here = static_cast<size_t>(c);
        const int32_t y = edge_[here];
        low_[here - 1] = std::min(low_[here - 1], y);
        high_[here - 1] = std::max(high_[here - 1], y);
        low_[here] = y;
        high_[here] = y;
    }
    for (int64_t i = begin; i < end; ++i) {
        const auto c = static_cast<size_t>(std::clamp(static_cast<int32_t>(cell_at(i)), first, last));
        const int32_t y = settle(positions[i]);
        low_[c] = std::min(low_[c], y);
        high_[c] = std::max(high_[c], y);
    }
    return {first, last};
}

void Envelope::keep_pieces(CellRange cells, int32_t run) {
    for (int32_t c = cells.first; c <= cells.last; ++c) {
        const auto at = static_cast<size_t>(c);
        const int32_t low = low_[at];
        const int32_t high = high_[at];
        // Runs shorter than a cell pile up in it: those that touch the one before are one piece with it.
        if (!pieces_.empty() && pieces_.back().cell == c && cells.first == cells.last) {
            Piece& before = pieces_.back();
            if (low <= before.high && high >= before.low) {
                before.low = std::min(before.low, low);
                before.high = std::max(before.high, high);
                before.run = run;
                continue;
            }
        }
        pieces_.push_back({c, run, low, high});
    }
}

void Envelope::index_pieces() {
    first_piece_.resize(static_cast<size_t>(cells_) + 1);
    size_t piece = 0;
    for (int32_t c = 0; c <= cells_; ++c) {
        while (piece < pieces_.size() && pieces_[piece].cell < c) ++piece;
        first_piece_[static_cast<size_t>(c)] = static_cast<int32_t>(piece);
    }
}

void Envelope::trace(const float* positions, int64_t count) {
    cells_per_sample_ = count ? static_cast<double>(layout_.columns) / static_cast<double>(count) : 0.0;
    samples_per_cell_ = static_cast<double>(count) / layout_.columns;
    runs_ = 0;
    pieces_.clear();

    const auto next = [&](int64_t from, bool missing) {
        while (from < count && std::isnan(positions[from]) != missing) ++from;
        return from;
    };
    const int64_t begin = next(0, false);
    const int64_t end = next(begin, true);
    const bool whole = next(end, false) == count;
    std::fill(low_.begin(), low_.end(), kNone);
    std::fill(high_.begin(), high_.end(), -kNone);
    if (begin == count) return;
    if (whole) {
        trace_run(positions, begin, end);
        runs_ = 1;
        return;
    }
    for (int64_t from = begin; from < count;) {
        const int64_t to = next(from, true);
        keep_pieces(trace_run(positions, from, to), runs_++);
        from = next(to, false);
    }
    index_pieces();
}

}  // namespace eegvlm
