// The stroke of a trace: what a disc dragged along it covers of each sub-column.
#pragma once

#include <cstdint>
#include <vector>

#include "envelope.hpp"
#include "layout.hpp"

namespace eegvlm {

struct Span {
    int32_t column;
    int32_t top;
    int32_t bottom;
};

class Stroke {
  public:
    explicit Stroke(const Layout& layout);

    void follow(const Envelope& envelope);

    // As `follow` for cuts [begin, end) alone. Of the envelope, cells [begin, end + taps - 2] are read. The
    // others stay if `end` is a last_cut; if not, some after it are lost.
    void follow_cuts(const Envelope& envelope, int32_t begin, int32_t end);

    // `end` rounded up to where `follow_cuts` leaves those after it alone.
    int32_t last_cut(int32_t begin, int32_t end) const;

    void clear() { more_.clear(); }

    // One interval per sub-column, in vertical units from the strip's top; empty when top == bottom.
    const std::vector<int16_t>& top() const { return top_; }
    const std::vector<int16_t>& bottom() const { return bottom_; }

    // Beside a gap a cut can be in several parts: the others, in order of sub-column, apart from one another.
    const std::vector<Span>& more() const { return more_; }

  private:
    struct Part {
        int32_t run;
        int32_t top;
        int32_t bottom;
    };

    void open_gaps(const Envelope& envelope, int32_t begin, int32_t end, std::vector<Span>& more);
    void cut_several(const Piece* begin, const Piece* end, int32_t column, std::vector<Span>& more);

    int32_t columns_;
    int32_t taps_;
    int32_t strip_height_;
    std::vector<int16_t> profile_;
    std::vector<int16_t> top_, bottom_;
    std::vector<Span> more_, fresh_;
    std::vector<Part> parts_;
};

}  // namespace eegvlm
