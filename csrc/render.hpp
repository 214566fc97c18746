// Traces in, pictures out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "layout.hpp"
#include "samples.hpp"
#include "store.hpp"

namespace eegvlm {

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
