// Everything a block of threads needs to know to draw its part of a picture, as plain numbers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "layout.hpp"
#include "samples.hpp"

namespace eegvlm {
namespace cuda {

enum class Values : int32_t { u8, f16, f32 };
enum class Planes : int32_t { chw, hwc, gray };

struct Job {
    int32_t width, height, rows, channels;
    int32_t sub_columns, row_columns, taps;
    int32_t unit_bits;       // vertical units in one pixel: 2^unit_bits
    float highest, lowest;   // where the middle of the stroke is held
    const int32_t* left;     // the sample before the left edge of each cell, and of the one after the last
    const float* share;      // how far the edge lies from it towards the next
    const int32_t* profile;  // one per tap

    const std::byte* x;
    int64_t picture_stride, channel_stride, stride;  // bytes
    int32_t samples;
    SampleType type;
    MaskView mask;
    double gain[kMaxChannels], offset[kMaxChannels];  // from the samples to vertical units

    std::byte* out;
    Values values;
    Planes planes;
    float scale[3], bias[3];
    const uint8_t* background;  // behind the trace, one per pixel, or null

    int32_t tile_width;      // px, a power of two of at least 4
    int32_t strips_at_once;  // whose envelopes are kept together
    int32_t pitch;           // words from one sub-column of all pixels to the next
    int32_t segments;        // pieces of a pixel column that are summed apart
    int32_t staged;  // samples of each strip that are read once and shared, or 0 if there are too many
};

}  // namespace cuda
}  // namespace eegvlm
