// The lowest and highest point of a trace within each cell of the strip.
#pragma once

#include <cstdint>
#include <vector>

#include "layout.hpp"

namespace eegvlm {

// What one unbroken run of samples covers of one cell, in vertical units from the strip's top.
struct Piece {
    int32_t cell;
    int32_t run;
    int32_t low;
    int32_t high;
};

class Envelope {
  public:
    Envelope(const Layout& layout, int64_t samples);

    // One position per sample, in vertical units from the strip's top; NaN ends a run.
    void trace(const float* positions);

    bool unbroken() const { return runs_ <= 1; }

    // Per cell, over all runs in it. An empty cell has low > high.
    const std::vector<int32_t>& low() const { return low_; }
    const std::vector<int32_t>& high() const { return high_; }

    // For a broken trace: pieces in order of cell, and where those of each cell begin (cells + 1 entries).
    const std::vector<Piece>& pieces() const { return pieces_; }
    const std::vector<int32_t>& first_piece() const { return first_piece_; }

    static constexpr int32_t kNone = 1 << 28;

  private:
    struct Cells {
        int32_t first;
        int32_t last;
    };

    Cells trace_run(const float* positions, int64_t begin, int64_t end);
    void keep_pieces(Cells cells, int32_t run);
    void index_pieces();
    int32_t cell_of(int64_t sample) const;
    int32_t settle(float position) const;

    int64_t samples_;
    int64_t columns_;
    int64_t taps_;
    float highest_, lowest_;  // where the middle of the stroke is held
    int32_t runs_ = 0;
    std::vector<int32_t> left_;  // the sample before the left edge of each cell
    std::vector<float> share_;   // how far the edge lies from it towards the next: (0, 1]
    std::vector<int32_t> edge_, low_, high_, first_piece_;
    std::vector<Piece> pieces_;
};

}  // namespace eegvlm
