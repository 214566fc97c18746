// Draws a fixed set of pictures from whole-number samples and compares one digest of them all with the one
// kept here: it changes when RENDERER_VERSION does, and with nothing else.
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "render.hpp"

namespace {

constexpr uint64_t kExpected = 0xa1a150b23095e8a2;

class Digest {
  public:
    void add(const std::vector<std::byte>& bytes) {
        for (const std::byte byte : bytes) state_ = (state_ ^ static_cast<uint64_t>(byte)) * 0x100000001b3u;
    }
    uint64_t value() const { return state_; }

  private:
    uint64_t state_ = 0xcbf29ce484222325u;
};

std::vector<int32_t> walk(size_t samples, uint32_t seed) {
    std::vector<int32_t> values(samples);
    int32_t level = 0;
    for (int32_t& value : values) {
        seed = seed * 1664525u + 1013904223u;
        level += static_cast<int32_t>(seed >> 24) - 128 - level / 16;
        value = level;
    }
    return values;
}

uint64_t draw_all() {
    Digest digest;
    for (const int width : {97, 336})
        for (const int rows : {1, 6})
            for (const int channels : {1, 2})
                for (const double line : {0.7, 1.0, 3.0})
                    for (const size_t samples : {1u, 100u, 3000u, 15360u}) {
                        const eegvlm::Layout layout({width, 336, rows, channels, line});
                        const std::vector<int32_t> values = walk(samples, 7);
                        const eegvlm::Traces traces{{reinterpret_cast<const std::byte*>(values.data()), 4,
                                                     static_cast<int64_t>(samples), eegvlm::SampleType::i32},
                                                    0,
                                                    0,
                                                    1,
                                                    0.37,
                                                    -1.5};
                        std::vector<std::byte> bytes(static_cast<size_t>(3 * width * 336));
                        std::vector<std::byte> floats(4 * bytes.size());
                        const std::array<float, 3> scale{0.0146f, 0.0150f, 0.0142f},
                            bias{-1.79f, -1.75f, -1.48f};
                        eegvlm::render(layout, 100.0, traces,
                                       {eegvlm::Format::u8_hwc, bytes.data(), scale, bias}, 1);
                        eegvlm::render(layout, 100.0, traces,
                                       {eegvlm::Format::f32_chw, floats.data(), scale, bias}, 1);
                        digest.add(bytes);
                        digest.add(floats);
                    }
    return digest.value();
}

}  // namespace

int main() {
    bool same = true;
    for (const std::string& name : eegvlm::instruction_sets()) {
        eegvlm::use_instruction_set(name);
        const uint64_t digest = draw_all();
        std::cout << name << ": digest 0x" << std::hex << digest << ", expected 0x" << kExpected << '\n';
        same = same && digest == kExpected;
    }
    return same ? 0 : 1;
}
