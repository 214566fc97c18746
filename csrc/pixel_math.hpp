// The arithmetic of a picture, one definition for every machine: C++ and CUDA call these very functions, and
// one rounding, of half_bits(), is an instruction of the device.
//
// Contract. A picture is a pure function of Layout and samples, computed in this order:
//   1. position()   sample -> vertical position in 1/2^unit_bits pixel from the strip's top, as float;
//                   NaN where the sample is not finite. IEEE double and float, never contracted.
//   2. between()    the straight line between two samples, read at the left edge of a cell; settle() holds it
//                   where the whole stroke fits in the strip, and rounds. Whole numbers from here on (int16).
//   3. lowest and highest of a cell: the minimum and maximum of its two edges and of the samples in it.
//   4. raise()d by the disc's profile and united: the interval [top, bottom) of a cut (sub-column).
//   5. edge_weights() of top (added) and bottom (subtracted), summed into the pixel that holds the edge.
//   6. running down a column: covered = above + within(sum); above = covered + below(sum).
//   7. gray_of(covered), over_background() where there are ticks or scale lines, normalized() and
//   half_bits().
// Compile with -ffp-contract=off (nvcc: --fmad=false), without -ffast-math. The order of summation in 3-5
// does not matter: minima and integer sums.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#define EEGVLM_HD static __host__ __device__ __forceinline__
#else
// Internal to each file: files are compiled for different instruction sets and must not share code.
#define EEGVLM_HD [[maybe_unused]] static inline __attribute__((always_inline))
#endif

namespace eegvlm {

// Far outside any picture, and still far from overflow when two positions are interpolated.
static constexpr double kFar = 1099511627776.0;

// An empty cell is lowest > highest, by so much that no profile closes it.
static constexpr int16_t kNoLow = 32767;
static constexpr int16_t kNoHigh = -32768;
static constexpr int32_t kMostStripUnits = 24576;  // leaves room for every profile next to the sentinels

EEGVLM_HD bool finite(double value) { return value - value == 0.0; }

EEGVLM_HD float position(double value, double gain, double offset) {
    if (!finite(value)) return __builtin_nanf("");
    const double at = value * gain + offset;
    const double below = at < kFar ? at : kFar;
    return static_cast<float>(below > -kFar ? below : -kFar);
}

// `share` of the way from a to b.
EEGVLM_HD float between(float a, float b, float share) { return a * (1.0f - share) + b * share; }

EEGVLM_HD int32_t settle(float position, float highest, float lowest) {
    const float held = position > highest ? position : highest;
    return static_cast<int32_t>((held < lowest ? held : lowest) + 0.5f);
}

// An edge weighs on the pixel it lies in and on all below it: what it lacks in the first is made up in the
// second. Both weights share a word, the second in the upper half.
EEGVLM_HD int32_t edge_weights(int32_t y, int32_t unit_bits) {
    const int32_t one = 1 << unit_bits;
    const int32_t into = y & (one - 1);
    return one + (into << 16) - into;
}

EEGVLM_HD int32_t within(int32_t weights) {
    return static_cast<int16_t>(static_cast<uint16_t>(static_cast<uint32_t>(weights) & 0xffffu));
}

EEGVLM_HD int32_t below(int32_t weights) { return (weights - within(weights)) >> 16; }

// What one unit of coverage takes from white, in 1/65536; `full` units cover a pixel.
EEGVLM_HD int32_t darkness_of(int32_t full) { return 255 * 65536 / full; }

EEGVLM_HD int32_t gray_of(int32_t covered, int32_t darkness) {
    return 255 - ((covered * darkness + (1 << 15)) >> 16);
}

// The trace over a background that is not white: gray * background / 255, rounded; exact for background 255.
EEGVLM_HD int32_t over_background(int32_t gray, int32_t background) {
    const int32_t product = gray * background + 128;
    return (product + (product >> 8)) >> 8;
}

EEGVLM_HD float normalized(int32_t gray, float scale, float bias) {
    return static_cast<float>(gray) * scale + bias;
}

// binary16, rounded to nearest, ties to even. Magnitudes from 65520 become infinity.
EEGVLM_HD uint16_t half_bits(float value) {
#if defined(__CUDA_ARCH__)
    // The device's own instruction, which CPU tests do not reach: run_on_gpu.sh compares its bytes.
    if (value == value) return __half_as_ushort(__float2half_rn(value));
#endif
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude >= 0x47800000u) {
        const bool nan = magnitude > 0x7f800000u;
        return static_cast<uint16_t>(sign | (nan ? 0x7e00u : 0x7c00u));
    }
    if (magnitude < 0x38800000u) {
        // Adding one half aligns the fraction with its unit in the last place and rounds it on the way.
        float shifted = 0.0f;
        std::memcpy(&shifted, &magnitude, sizeof shifted);
        shifted += 0.5f;
        std::memcpy(&bits, &shifted, sizeof bits);
        return static_cast<uint16_t>(sign | (bits - 0x3f000000u));
    }
    const uint32_t odd = (magnitude >> 13) & 1u;
    return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

// Exact for every finite half; infinities and NaN read as NaN.
EEGVLM_HD float half_value(uint16_t half) {
    const uint32_t magnitude = half & 0x7fffu;
    if (magnitude >= 0x7c00u) return __builtin_nanf("");
    uint32_t bits = magnitude << 13;
    float value = 0.0f;
    std::memcpy(&value, &bits, sizeof bits);
    value *= 5192296858534827628530496329220096.0f;
    return half & 0x8000u ? -value : value;
}

}  // namespace eegvlm
