// The inner loops, compiled once for every instruction set from loops.cpp; the best the machine has is taken
// at run time. Every version computes the same numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "samples.hpp"

namespace eegvlm {

enum class Format { u8_hwc, u8_chw, f32_chw, f16_chw, u8_gray, f32_gray };

inline constexpr int kTileWidth = 16;  // px; one cache line of edges
// A word of a tile to which no edge was added. Its lower half is lifted so far that it never borrows from the
// upper one: 63 cuts of 256 units take less.
inline constexpr int32_t kNoEdges = 1 << 14;
inline constexpr int kSpare = 64;  // elements that loops may read beyond either end of an array

// One picture's place, and how its gray values are written.
struct Canvas {
    Format format;
    std::byte* data;
    int64_t width;
    int64_t height;
    float scale[3];
    float bias[3];
    const uint8_t* background;  // gray behind the trace, or null for white
    bool past_caches;           // more than they hold is being written
};

// Rows [top, bottom) of `count` columns from x on; edges were added to rows [first, last] alone. More columns
// than a tile has are two tiles side by side.
struct Band {
    int32_t* edges;
    int32_t top, bottom;
    int32_t first, last;
    int32_t x, count;
    int32_t darkness;
    int64_t other = 0;  // words from the edges of the first tile to those of the second
};

// Where pixels will soon be written: `rows` places a `step` apart (bytes), in each of three planes.
struct Ahead {
    const std::byte* at;
    int64_t step, plane;
    int32_t rows;
};

struct Reach {
    int32_t first, last;
};

struct Loops {
    const char* name;

    // Positions of samples; false if one of them is missing.
    bool (*read)(const SampleView& samples, double gain, double offset, float* positions);

    void (*settle)(const float* positions, int64_t count, float highest, float lowest, int16_t* heights);

    // Where the trace crosses the left edge of each of `count` cells.
    void (*read_edges)(const float* positions, const int32_t* left, const float* share, float highest,
                       float lowest, int16_t* edges, int32_t count);

    // As `read_edges` where no cell holds more than one sample, and none of `positions` is missing; also the
    // height of that sample, or of the edge in a cell without. One more of `left` is read.
    void (*read_apart)(const float* positions, const int32_t* left, const float* share, float highest,
                       float lowest, int16_t* edges, int16_t* inside, int32_t count);

    // Lowest and highest of the two edges of each cell and of what is inside.
    void (*span)(const int16_t* edges, const int16_t* inside, int16_t* low, int16_t* high, int32_t count);

    void (*include)(const int16_t* heights, const int32_t* cells, int64_t count, int16_t* low, int16_t* high);

    void (*dilate)(const int16_t* low, const int16_t* high, const int16_t* profile, int32_t taps,
                   int32_t strip_height, int16_t* top, int16_t* bottom, int32_t count);

    // Adds the edges of `count` cuts, cut j to column[j] of the tile; tells which rows were touched. Places
    // ahead are fetched meanwhile.
    Reach (*scatter)(const int16_t* top, const int16_t* bottom, const int32_t* column, int32_t count,
                     int32_t base, int32_t unit_bits, int32_t* edges, const Ahead& ahead);

    // Sums the edges downwards, writes the pixels and clears the tile.
    void (*resolve)(const Band& band, const Canvas& canvas);

    // What was written past the caches is there for every thread.
    void (*flush)();
};

const Loops& loops();

std::vector<std::string> instruction_sets();  // that this machine can run, the best first

void use_instruction_set(const std::string& name);  // throws std::invalid_argument

}  // namespace eegvlm
