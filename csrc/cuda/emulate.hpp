// The device's program on the host, one thread after another: what the tests compare with the CPU's pictures.
#pragma once

#include <cstring>
#include <vector>

#include "cuda/program.hpp"

namespace eegvlm {
namespace cuda {

struct HostBlock {
    template <typename Step>
    void each(int32_t count, Step step) {
        for (int32_t t = count - 1; t >= 0; --t) step(t);  // in no order that the device promises
    }
    void add(int32_t* word, int32_t value) { *word += value; }
    template <typename Number>
    void get4(Number* values, const Number* from) {
        std::memcpy(values, from, 4 * sizeof(Number));
    }
    template <typename Number>
    void put4(Number* to, const Number* values) {
        std::memcpy(to, values, 4 * sizeof(Number));
    }
    template <typename Number>
    void store4(Number* to, const Number* values) {
        put4(to, values);
    }
};

inline void emulate(const Job& job, int64_t pictures) {
    HostBlock block;
    for (int64_t picture = 0; picture < pictures; ++picture)
        for (int32_t first = 0; first < job.width; first += job.tile_width) {
            std::vector<int32_t> shared(static_cast<size_t>(shared_words(job)), -1);
            if (job.sub_columns == 8 && job.taps == 8)
                draw_tile<8, 8>(block, job, picture, first, shared.data());
            else
                draw_tile<0, 0>(block, job, picture, first, shared.data());
        }
}

}  // namespace cuda
}  // namespace eegvlm
