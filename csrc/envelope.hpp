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
    explicit Envelope(const Layout& layout);

    // Positions are vertical units from the strip's top; NaN ends a run.
    void trace(const float* positions, int64_t count);

    bool unbroken() const { return runs_ <= 1; }

    // Per cell, for an unbroken trace. An empty cell has low > high.
    const std::vector<int32_t>& low() const { return low_; }
    const std::vector<int32_t>& high() const { return high_; }

    // For a broken trace: pieces in order of cell, and where those of each cell begin (cells + 1 entries).
    const std::vector<Piece>& pieces() const { return pieces_; }
    const std::vector<int32_t>& first_piece() const { return first_piece_; }

    static constexpr int32_t kNone = 1 << 28;

  private:
    struct CellRange {
        int32_t first;
        int32_t last;
    };

    CellRange trace_run(const float* positions, int64_t begin, int64_t end);
    void keep_pieces(CellRange cells, int32_t run);
    void index_pieces();
    double cell_at(int64_t sample) const;
    int32_t settle(float position) const;

    const Layout& layout_;
    int32_t cells_;
    double cells_per_sample_ = 0.0;
    double samples_per_cell_ = 0.0;
    double origin_;
    int32_t runs_ = 0;
    std::vector<int32_t> low_, high_, edge_, first_piece_;
    std::vector<Piece> pieces_;
};

}  // namespace eegvlm
