// The lowest and highest point of a trace within each cell of the strip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "grid.hpp"

namespace eegvlm {

// What one unbroken run of samples covers of one cell near a gap, in vertical units from the strip's top.
struct Piece {
    int32_t cell;
    int32_t run;
    int16_t low;
    int16_t high;
};

class Envelope {
  public:
    explicit Envelope(const Grid& grid);

    // One position per sample, in vertical units from the strip's top; NaN ends a run. `whole`: none is
    // missing. There are kSpare readable floats on either side.
    void trace(const float* positions, bool whole);

    // As `trace` for cells [first, last] alone: only the samples that bear on them are read, and cells
    // outside hold anything.
    void trace_cells(const float* positions, bool whole, int32_t first, int32_t last);

    bool unbroken() const { return runs_ <= 1; }

    // Per cell, over all runs in it. An empty cell has low > high. kSpare more may be read.
    const int16_t* low() const { return low_.data(); }
    const int16_t* high() const { return high_.data(); }
    int32_t cells() const { return grid_.columns + grid_.taps - 1; }

    // For a broken trace: pieces near gaps, in order of cell and run.
    const std::vector<Piece>& pieces() const { return pieces_; }

  private:
    void trace_between(const float* positions, bool whole, int64_t begin, int64_t end, int32_t first,
                       int32_t last);
    void trace_run(const float* positions, int64_t begin, int64_t end);
    void add_run(const float* positions, int64_t begin, int64_t end);
    void keep_pieces(int32_t first, int32_t last);

    const Grid& grid_;
    int32_t runs_ = 0;
    std::vector<int16_t> edge_, inside_, low_, high_, heights_;
    std::vector<Piece> pieces_;
};

}  // namespace eegvlm
