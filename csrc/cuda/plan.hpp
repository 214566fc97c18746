// What the pictures of one layout and length have in common, worked out once on the host.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cuda/job.hpp"
#include "layout.hpp"

namespace eegvlm {
namespace cuda {

struct Device {
    int64_t shared_bytes;  // the most that one block can have
    int64_t blocks;        // that keep every multiprocessor busy
};

struct Plan {
    Plan(const Layout& of, int64_t length);  // throws std::invalid_argument

    // The job less its pointers, samples and output; tiles fit the device and the number of pictures.
    Job job(const Device& device, int64_t pictures) const;

    // Gain and offset of channel `c`, from samples to vertical units.
    void scale(Job& job, int c, double uv_range, double gain, double offset) const;

    Layout layout;
    int64_t samples;
    std::vector<int32_t> profile;
    std::vector<int32_t> left;
    std::vector<float> share;
};

}  // namespace cuda
}  // namespace eegvlm
