// Samples of any type and stride, and which of them are missing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace eegvlm {

inline constexpr int64_t kMaxSamples = int64_t{1} << 26;  // a day at 776 Hz

enum class SampleType { f16, f32, f64, i16, i32 };

struct SampleView {
    const std::byte* data;
    std::ptrdiff_t stride;  // bytes, of either sign
    int64_t count;
    SampleType type;
};

// One byte a sample, in any strides; where it is not 0 the sample is missing, as if it were NaN.
struct MaskView {
    const std::byte* data = nullptr;  // none is
    std::ptrdiff_t picture_stride = 0, channel_stride = 0, stride = 0;
};

// What turns samples of one channel into microvolts, and how many of them half its strip holds.
struct Scaling {
    double uv_range;
    double gain;    // microvolts per unit of the samples
    double offset;  // microvolts at zero
};

}  // namespace eegvlm
