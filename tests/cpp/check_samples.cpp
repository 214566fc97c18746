#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "check.hpp"
#include "simd/loops.hpp"

namespace eegvlm::checks {
namespace {

template <typename T, size_t N>
std::array<float, N> read(const std::array<T, N>& values, SampleType type, double gain = 1.0,
                          double offset = 0.0) {
    std::array<float, N> positions{};
    const SampleView view{reinterpret_cast<const std::byte*>(values.data()), sizeof(T), N, type};
    loops().read(view, gain, offset, positions.data());
    return positions;
}

void reads_every_type() {
    const std::array<float, 3> expected{-2.0f, 0.0f, 1.0f};
    CHECK(read(std::array<uint16_t, 3>{0xc000, 0x0000, 0x3c00}, SampleType::f16) == expected);
    CHECK(read(std::array<float, 3>{-2, 0, 1}, SampleType::f32) == expected);
    CHECK(read(std::array<double, 3>{-2, 0, 1}, SampleType::f64) == expected);
    CHECK(read(std::array<int16_t, 3>{-2, 0, 1}, SampleType::i16) == expected);
    CHECK(read(std::array<int32_t, 3>{-2, 0, 1}, SampleType::i32) == expected);
}

void reads_the_smallest_and_largest_halves() {
    const auto got = read(std::array<uint16_t, 3>{0x0001, 0x03ff, 0x7bff}, SampleType::f16);
    CHECK_EQUAL(got[0], std::ldexp(1.0f, -24));
    CHECK_EQUAL(got[1], std::ldexp(1023.0f, -24));
    CHECK_EQUAL(got[2], 65504.0f);
    CHECK(std::isnan(read(std::array<uint16_t, 1>{0x7c00}, SampleType::f16)[0]));
    CHECK(std::isnan(read(std::array<uint16_t, 1>{0x7e00}, SampleType::f16)[0]));
}

void what_is_not_finite_is_missing() {
    const double infinity = std::numeric_limits<double>::infinity();
    const auto got = read(std::array<double, 3>{infinity, -infinity, std::nan("")}, SampleType::f64);
    for (const float position : got) CHECK(std::isnan(position));
}

void huge_values_stay_finite() {
    const auto got = read(std::array<double, 2>{1e308, -1e308}, SampleType::f64, 1e6);
    CHECK(std::isfinite(got[0]) && got[0] > 1e9f);
    CHECK_EQUAL(got[1], -got[0]);
}

void strides_may_be_negative_or_odd() {
    std::array<std::byte, 15> packed{};
    for (int i = 0; i < 3; ++i) {
        const auto value = static_cast<float>(i + 1);
        std::copy_n(reinterpret_cast<const std::byte*>(&value), sizeof value, packed.data() + 5 * i);
    }
    std::array<float, 3> positions{};
    loops().read({packed.data() + 10, -5, 3, SampleType::f32}, 2.0, 1.0, positions.data());
    CHECK((positions == std::array<float, 3>{7.0f, 5.0f, 3.0f}));
}

}  // namespace

void samples() {
    reads_every_type();
    reads_the_smallest_and_largest_halves();
    what_is_not_finite_is_missing();
    huge_values_stay_finite();
    strides_may_be_negative_or_odd();
}

}  // namespace eegvlm::checks
