// Traces in, pictures out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "layout.hpp"
#include "samples.hpp"
#include "simd/loops.hpp"

namespace eegvlm {

// Channel c of picture p begins at samples.data + p * picture_stride + c * channel_stride (bytes).
struct Traces {
    SampleView samples;
    std::ptrdiff_t picture_stride;
    std::ptrdiff_t channel_stride;
    int64_t pictures;
    double gain;                       // microvolts per unit of the samples
    double offset;                     // microvolts at zero
    const Scaling* scaling = nullptr;  // one per channel, in place of gain, offset and uv_range
    MaskView mask{};
};

// Pictures one after another in one format; plane p of a normalized one is gray * scale[p] + bias[p].
struct Output {
    Format format;
    std::byte* data;
    std::array<float, 3> scale;
    std::array<float, 3> bias;
    const uint8_t* background = nullptr;  // gray values behind the trace, one per pixel, or white
    bool past_caches = false;             // `render` sets it for more than they hold
};

int64_t picture_bytes(const Geometry& geometry, Format format);

// Draws every picture; which thread draws which does not show in the result.
void render(const Layout& layout, double uv_range, const Traces& traces, const Output& output, int threads);

}  // namespace eegvlm
