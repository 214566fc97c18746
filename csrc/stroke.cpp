#include "stroke.hpp"

#include <algorithm>

#include "simd.hpp"

namespace eegvlm {
namespace {

// A block of cuts is short enough to stay in the nearest cache while every tap passes over it.
constexpr int32_t kBlock = 256;

EEGVLM_MULTIVERSION
void dilate(const int32_t* __restrict low, const int32_t* __restrict high, const int32_t* __restrict profile,
            int32_t taps, int32_t* __restrict top, int32_t* __restrict bottom, int32_t count) {
    for (int32_t j = 0; j < count; ++j) {
        top[j] = low[j] - profile[0];
        bottom[j] = high[j] + profile[0];
    }
    for (int32_t k = 1; k < taps; ++k) {
        const int32_t raise = profile[k];
        for (int32_t j = 0; j < count; ++j) {
            top[j] = std::min(top[j], low[j + k] - raise);
            bottom[j] = std::max(bottom[j], high[j + k] + raise);
        }
    }
    for (int32_t j = 0; j < count; ++j) {
        const bool empty = top[j] > bottom[j];
        top[j] = empty ? 0 : top[j];
        bottom[j] = empty ? 0 : bottom[j];
    }
}

}  // namespace

Stroke::Stroke(const Layout& layout)
    : columns_(layout.columns),
      taps_(layout.taps),
      profile_(layout.profile),
      top_(static_cast<size_t>(layout.columns)),
      bottom_(static_cast<size_t>(layout.columns)) {}

void Stroke::follow(const Envelope& envelope) {
    more_.clear();
    for (int32_t j = 0; j < columns_; j += kBlock) {
        const auto at = static_cast<size_t>(j);
        dilate(&envelope.low()[at], &envelope.high()[at], profile_.data(), taps_, &top_[at], &bottom_[at],
               std::min(kBlock, columns_ - j));
    }
    if (!envelope.unbroken()) open_gaps(envelope);
}

// One interval holds wherever a cut sees one run only. Where it sees both sides of a gap, it is cut again.
void Stroke::open_gaps(const Envelope& envelope) {
    const Piece* pieces = envelope.pieces().data();
    const int32_t* first = envelope.first_piece().data();
    int32_t next = 0;
    for (size_t i = 1; i < envelope.pieces().size(); ++i) {
        if (pieces[i - 1].run == pieces[i].run) continue;
        const int32_t last = std::min(pieces[i - 1].cell, columns_ - 1);
        for (next = std::max(next, pieces[i].cell - taps_ + 1); next <= last; ++next)
            cut_several(pieces + first[next], pieces + first[next + taps_], next);
    }
}

// `begin` to `end` are the pieces under the pen: their union, as intervals apart from one another.
void Stroke::cut_several(const Piece* begin, const Piece* end, int32_t column) {
    parts_.clear();
    for (const Piece* piece = begin; piece != end; ++piece) {
        const int32_t raise = profile_[static_cast<size_t>(piece->cell - column)];
        parts_.push_back({piece->run, piece->low - raise, piece->high + raise});
    }
    // Parts of one run hang together; merging them first leaves one part a run to sort.
    size_t kept = 0;
    for (size_t i = 1; i < parts_.size(); ++i) {
        Part& last = parts_[kept];
        if (parts_[i].run == last.run) {
            last.top = std::min(last.top, parts_[i].top);
            last.bottom = std::max(last.bottom, parts_[i].bottom);
        } else {
            parts_[++kept] = parts_[i];
        }
    }
    parts_.resize(kept + 1);
    std::sort(parts_.begin(), parts_.end(), [](const Part& a, const Part& b) { return a.top < b.top; });

    const auto at = static_cast<size_t>(column);
    top_[at] = parts_[0].top;
    bottom_[at] = parts_[0].bottom;
    int32_t* reach = &bottom_[at];
    for (size_t i = 1; i < parts_.size(); ++i) {
        if (parts_[i].top <= *reach) {
            *reach = std::max(*reach, parts_[i].bottom);
        } else {
            more_.push_back({column, parts_[i].top, parts_[i].bottom});
            reach = &more_.back().bottom;
        }
    }
}

}  // namespace eegvlm
