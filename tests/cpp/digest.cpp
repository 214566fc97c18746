// Draws a fixed grid of pictures with every instruction set of the machine and compares one digest of them
// all with the one kept here: it changes when RENDERER_VERSION does, and with nothing else.
//
//     eegvlm_digest          the quick grid
//     eegvlm_digest whole    the whole grid
//     eegvlm_digest coarse   pictures of 4 and of 2 cuts a pixel
//     eegvlm_digest cases    the digest of every picture of the whole grid, to find where two builds part
#include <iomanip>
#include <iostream>
#include <string>

#include "pictures.hpp"

namespace {

constexpr uint64_t kQuick = 0xa5a312c5da49af42;
constexpr uint64_t kWhole = 0x0762ec1e7789b4f1;
constexpr uint64_t kCoarse = 0xe7e5d2fdfb90aa93;

using eegvlm::pictures::Case;

uint64_t draw_all(const std::vector<Case>& cases, bool tell) {
    eegvlm::pictures::Digest all;
    for (const Case& c : cases) {
        const uint64_t digest = eegvlm::pictures::digest(c);
        all.add(digest);
        if (tell) std::cout << "  " << std::setw(16) << digest << "  " << c.name() << '\n';
    }
    return all.value();
}

}  // namespace

int main(int count, char** arguments) {
    const std::string grid = count > 1 ? arguments[1] : "quick";
    const uint64_t expected = grid == "quick" ? kQuick : grid == "coarse" ? kCoarse : kWhole;
    const std::vector<Case> cases =
        eegvlm::pictures::cases(grid == "quick"    ? eegvlm::pictures::quick_grid()
                                : grid == "coarse" ? eegvlm::pictures::coarse_grid()
                                                   : eegvlm::pictures::whole_grid());
    bool same = true;
    std::cout << std::hex << std::setfill('0');
    for (const std::string& name : eegvlm::instruction_sets()) {
        eegvlm::use_instruction_set(name);
        const uint64_t digest = draw_all(cases, grid == "cases");
        std::cout << name << " 0x" << std::setw(16) << digest << '\n';
        if (digest != expected)
            std::cerr << grid << ": another digest than 0x" << std::setw(16) << std::hex << expected << '\n';
        same = same && digest == expected;
    }
    std::cerr << std::dec << cases.size() << " cases, two outputs each\n";
    return same ? 0 : 1;
}
