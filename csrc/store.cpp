#include "store.hpp"

#include "simd.hpp"

namespace eegvlm {
namespace {

EEGVLM_MULTIVERSION
void triple(const uint8_t* __restrict gray, int count, uint8_t* __restrict to) {
    for (int x = 0; x < count; ++x) to[3 * x] = to[3 * x + 1] = to[3 * x + 2] = gray[x];
}

EEGVLM_MULTIVERSION
void normalize(const uint8_t* __restrict gray, int count, float scale, float bias, float* __restrict to) {
    for (int x = 0; x < count; ++x) to[x] = static_cast<float>(gray[x]) * scale + bias;
}

}  // namespace

void store(const Gray& gray, int64_t picture, const Output& output) {
    const int64_t width = gray.width;
    const int64_t first = picture * 3 * width * gray.height;
    if (output.type == OutputType::u8_hwc) {
        auto* to = reinterpret_cast<uint8_t*>(output.data) + first;
        for (int y = 0; y < gray.height; ++y, to += 3 * width)
            triple(gray.data + y * gray.stride, gray.width, to);
        return;
    }
    auto* to = reinterpret_cast<float*>(output.data) + first;
    for (size_t p = 0; p < 3; ++p)
        for (int y = 0; y < gray.height; ++y, to += width)
            normalize(gray.data + y * gray.stride, gray.width, output.scale[p], output.bias[p], to);
}

}  // namespace eegvlm
