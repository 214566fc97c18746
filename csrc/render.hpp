// Traces in, pictures out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "layout.hpp"
#include "samples.hpp"

namespace eegvlm {

// u8_hwc: (height, width, 3) gray bytes. f32_chw: (3, height, width), plane p = gray * scale[p] + bias[p].
enum class OutputType { u8_hwc, f32_chw };

struct Output {
    OutputType type;
    std::byte* data;  // pictures one after another
    std::array<float, 3> scale;
    std::array<float, 3> bias;
};

// Channel c of picture p begins at samples.data + p * picture_stride + c * channel_stride (bytes).
struct Traces {
    SampleView samples;
    std::ptrdiff_t picture_stride;
    std::ptrdiff_t channel_stride;
    int64_t pictures;
    double gain;    // microvolts per unit of the samples
    double offset;  // microvolts at zero
};

// Draws every picture; which thread draws which does not show in the result.
void render(const Layout& layout, double uv_range, const Traces& traces, const Output& output, int threads);

}  // namespace eegvlm
