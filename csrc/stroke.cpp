#include "stroke.hpp"

#include <algorithm>

#include "simd/loops.hpp"

namespace eegvlm {
Stroke::Stroke(const Layout& layout)
    : columns_(layout.columns),
      taps_(layout.taps),
      strip_height_(layout.strip_height),
      profile_(layout.profile),
      top_(static_cast<size_t>(layout.columns + kSpare)),
      bottom_(static_cast<size_t>(layout.columns + kSpare)) {}

void Stroke::follow(const Envelope& envelope) {
    more_.clear();
    loops().dilate(envelope.low(), envelope.high(), profile_.data(), taps_, strip_height_, top_.data(),
                   bottom_.data(), columns_);
    if (!envelope.unbroken()) open_gaps(envelope, 0, columns_, more_);
}

int32_t Stroke::last_cut(int32_t begin, int32_t end) const {
    return std::min(begin + (end - begin + kSpare - 1) / kSpare * kSpare, columns_);
}

void Stroke::follow_cuts(const Envelope& envelope, int32_t begin, int32_t end) {
    const auto at = static_cast<size_t>(begin);
    loops().dilate(envelope.low() + begin, envelope.high() + begin, profile_.data(), taps_, strip_height_,
                   &top_[at], &bottom_[at], end - begin);
    fresh_.clear();
    if (!envelope.unbroken()) open_gaps(envelope, begin, end, fresh_);
    const auto before = [](const Span& span, int32_t column) { return span.column < column; };
    const auto from = std::lower_bound(more_.begin(), more_.end(), begin, before);
    const auto to = std::lower_bound(from, more_.end(), end, before);
    const auto kept = more_.erase(from, to);
    more_.insert(kept, fresh_.begin(), fresh_.end());
}

// One interval holds wherever a cut sees one run only. Where it sees both sides of a gap, it is cut again.
void Stroke::open_gaps(const Envelope& envelope, int32_t begin, int32_t end, std::vector<Span>& more) {
    const std::vector<Piece>& pieces = envelope.pieces();
    size_t from = 0, to = 0;
    int32_t next = begin;
    for (size_t i = 1; i < pieces.size(); ++i) {
        if (pieces[i - 1].run == pieces[i].run) continue;
        const int32_t last = std::min(pieces[i - 1].cell, end - 1);
        for (next = std::max(next, pieces[i].cell - taps_ + 1); next <= last; ++next) {
            while (from < pieces.size() && pieces[from].cell < next) ++from;
            to = std::max(to, from);
            while (to < pieces.size() && pieces[to].cell < next + taps_) ++to;
            cut_several(pieces.data() + from, pieces.data() + to, next, more);
        }
    }
}

// `begin` to `end` are the pieces under the pen: their union, as intervals apart from one another.
void Stroke::cut_several(const Piece* begin, const Piece* end, int32_t column, std::vector<Span>& more) {
    parts_.clear();
    for (const Piece* piece = begin; piece != end; ++piece) {
        const int32_t up = profile_[static_cast<size_t>(piece->cell - column)];
        parts_.push_back({piece->run, piece->low - up, piece->high + up});
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

    const size_t kept_more = more.size();
    more.push_back({column, parts_[0].top, parts_[0].bottom});
    for (size_t i = 1; i < parts_.size(); ++i) {
        int32_t& reach = more.back().bottom;
        if (parts_[i].top <= reach)
            reach = std::max(reach, parts_[i].bottom);
        else
            more.push_back({column, parts_[i].top, parts_[i].bottom});
    }
    const auto at = static_cast<size_t>(column);
    top_[at] = static_cast<int16_t>(more[kept_more].top);
    bottom_[at] = static_cast<int16_t>(more[kept_more].bottom);
    more.erase(more.begin() + static_cast<std::ptrdiff_t>(kept_more));
}

}  // namespace eegvlm
