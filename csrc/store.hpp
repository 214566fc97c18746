// Gray values written as the picture's bytes or as normalized floats.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace eegvlm {

// u8_hwc: (height, width, 3) gray bytes. f32_chw: (3, height, width), plane p = gray * scale[p] + bias[p].
enum class OutputType { u8_hwc, f32_chw };

struct Output {
    OutputType type;
    std::byte* data;  // pictures one after another
    std::array<float, 3> scale;
    std::array<float, 3> bias;
};

// A picture in one byte a pixel, `stride` bytes to a row.
struct Gray {
    const uint8_t* data;
    int stride;
    int width;
    int height;
};

void store(const Gray& gray, int64_t picture, const Output& output);

}  // namespace eegvlm
