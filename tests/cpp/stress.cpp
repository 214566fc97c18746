// Many threads draw pictures of many shapes at once, each call with threads of its own, while the instruction
// set is changed under them: every picture has the bytes it has when it is drawn alone.
//
//     eegvlm_stress [SECONDS]
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <thread>
#include <vector>

#include "pictures.hpp"

namespace {

using eegvlm::Format;
using eegvlm::pictures::Case;

constexpr int kDrawers = 8;
constexpr int kPictures = 4;

struct Shape {
    Case made;
    Format format;
    std::vector<std::byte> values;
    std::vector<std::byte> expected;  // kPictures alike
};

std::vector<Shape> shapes() {
    std::vector<Shape> all;
    const eegvlm::pictures::Grid grid{
        {{31, 47}, {64, 64}, {97, 40}}, {1, 3}, {1, 2}, {0.8, 2.0}, {1, 90, 700}};
    for (const Case& made : eegvlm::pictures::cases(grid)) {
        const std::vector<std::byte> values = eegvlm::pictures::samples_of(made);
        for (const Format format : made.formats)
            all.push_back({made, format, values, eegvlm::pictures::draw(made, values, format, 1, kPictures)});
    }
    return all;
}

}  // namespace

int main(int count, char** arguments) {
    const auto seconds = std::chrono::duration<double>(count > 1 ? std::atof(arguments[1]) : 1.0);
    const std::vector<Shape> all = shapes();
    const std::vector<std::string> sets = eegvlm::instruction_sets();
    const auto until = std::chrono::steady_clock::now() + seconds;
    std::atomic<int64_t> drawn{0}, wrong{0};
    const auto draw = [&](uint32_t seed) {
        do {
            seed = eegvlm::pictures::next(seed);
            const Shape& shape = all[(seed >> 8) % all.size()];
            if (seed >> 29 == 0) eegvlm::use_instruction_set(sets[(seed >> 4) % sets.size()]);
            const int threads = 1 + static_cast<int>(seed >> 30);
            const auto got =
                eegvlm::pictures::draw(shape.made, shape.values, shape.format, threads, kPictures);
            wrong += got != shape.expected;
            drawn += kPictures;
        } while (std::chrono::steady_clock::now() < until);
    };
    std::vector<std::thread> drawers;
    for (uint32_t i = 0; i < kDrawers; ++i) drawers.emplace_back(draw, i + 1);
    for (std::thread& drawer : drawers) drawer.join();
    std::cout << drawn << " pictures of " << all.size() << " shapes by " << kDrawers << " threads, " << wrong
              << " calls gave other bytes\n";
    return wrong == 0 ? 0 : 1;
}
