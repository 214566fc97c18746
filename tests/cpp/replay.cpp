// Runs the fuzz target without a fuzzer: on the files named, then on inputs drawn by lot.
//
//     eegvlm_replay [--lots N] [FILE...]
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "pictures.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int count, char** arguments) {
    int lots = 0, files = 0;
    for (int i = 1; i < count; ++i) {
        if (std::strcmp(arguments[i], "--lots") == 0 && i + 1 < count) {
            lots = std::atoi(arguments[++i]);
            continue;
        }
        std::ifstream file(arguments[i], std::ios::binary);
        if (!file) {
            std::cerr << arguments[i] << ": cannot be read\n";
            return 2;
        }
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
        ++files;
    }
    uint32_t seed = 1;
    for (int i = 0; i < lots; ++i) {
        std::vector<uint8_t> bytes(64 + static_cast<size_t>(i) % 512);
        for (uint8_t& byte : bytes) {
            seed = eegvlm::pictures::next(seed);
            byte = static_cast<uint8_t>(seed >> 24);
        }
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    }
    std::cout << files << " files and " << lots << " lots replayed\n";
    return 0;
}
