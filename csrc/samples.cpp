#include "samples.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace eegvlm {
namespace {

struct Half {
    uint16_t bits;
};

double widen(Half half) {
    const int sign = half.bits >> 15;
    const int exponent = (half.bits >> 10) & 31;
    const int fraction = half.bits & 1023;
    double magnitude;
    if (exponent == 31)
        magnitude =
            fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    else if (exponent == 0)
        magnitude = std::ldexp(fraction, -24);
    else
        magnitude = std::ldexp(1024 + fraction, exponent - 25);
    return sign ? -magnitude : magnitude;
}

template <typename T>
double widen(T value) {
    return static_cast<double>(value);
}

// Far outside any picture, and still far from overflow when two positions are interpolated.
constexpr double kFar = 1099511627776.0;

template <typename T>
void read_as(const SampleView& samples, double gain, double offset, float* positions) {
    const std::byte* at = samples.data;
    for (int64_t i = 0; i < samples.count; ++i, at += samples.stride) {
        T raw;
        std::memcpy(&raw, at, sizeof raw);
        const double value = widen(raw);
        const double position = std::clamp(value * gain + offset, -kFar, kFar);
        positions[i] =
            std::isfinite(value) ? static_cast<float>(position) : std::numeric_limits<float>::quiet_NaN();
    }
}

}  // namespace

void read_positions(const SampleView& samples, double gain, double offset, float* positions) {
    switch (samples.type) {
        case SampleType::f16:
            return read_as<Half>(samples, gain, offset, positions);
        case SampleType::f32:
            return read_as<float>(samples, gain, offset, positions);
        case SampleType::f64:
            return read_as<double>(samples, gain, offset, positions);
        case SampleType::i16:
            return read_as<int16_t>(samples, gain, offset, positions);
        case SampleType::i32:
            return read_as<int32_t>(samples, gain, offset, positions);
    }
}

}  // namespace eegvlm
