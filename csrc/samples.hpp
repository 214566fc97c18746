// Samples of any type and stride, read as vertical positions.
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

}  // namespace eegvlm
