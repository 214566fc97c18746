#include "cuda/plan.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "cuda/program.hpp"
#include "grid.hpp"

namespace eegvlm {
namespace cuda {
namespace {

constexpr int32_t kWidestTile = 32;  // one warp side by side
constexpr int32_t kNarrowestTile = 4;
constexpr int64_t kEnvelopeBytes = 16384;  // aimed at: more of it leaves room for fewer blocks at a time
constexpr int64_t kStagedBytes = 8192;     // at most, for the same reason

void fit(Job& job, int32_t tile_width) {
    job.tile_width = tile_width;
    job.segments = std::clamp(job.height / 8, 1, 1024 / tile_width);
    // Four words past the whole tile keep the sub-columns of a pixel in different banks.
    job.pitch = (tile_width + (job.taps + job.sub_columns - 2) / job.sub_columns + 3) / 4 * 4;
    if (job.pitch % 8 == 0) job.pitch += 4;
    const int64_t strip_bytes = int64_t{8} * job.sub_columns * job.pitch;
    job.strips_at_once =
        static_cast<int32_t>(std::clamp<int64_t>(kEnvelopeBytes / strip_bytes, 1, job.rows * job.channels));
    // From the sample before the tile's first cell to the one after its last.
    const int64_t cells = int64_t{tile_width} * job.sub_columns + job.taps - 1;
    const int64_t columns = int64_t{job.row_columns} * job.rows;
    const int64_t span = (cells * job.samples + columns - 1) / columns + 3;
    job.staged = 4 * span * job.strips_at_once <= kStagedBytes ? static_cast<int32_t>(span) : 0;
}

}  // namespace

Plan::Plan(const Layout& of, int64_t length)
    : layout(of), samples(length), profile(of.profile.begin(), of.profile.end()) {
    if (samples < 1 || samples > kMaxSamples) throw std::invalid_argument("x: number of samples");
    Grid grid(layout, samples);
    left = std::move(grid.left);
    share = std::move(grid.share);
}

Job Plan::job(const Device& device, int64_t pictures) const {
    const Geometry& g = layout.geometry;
    Job job{};
    job.width = g.width;
    job.height = g.height;
    job.rows = g.rows;
    job.channels = g.channels;
    job.sub_columns = layout.sub_columns;
    job.row_columns = layout.row_columns;
    job.taps = layout.taps;
    job.unit_bits = layout.unit_bits;
    job.highest = static_cast<float>(layout.half_stroke);
    job.lowest = static_cast<float>(layout.strip_height - layout.half_stroke);
    job.samples = static_cast<int32_t>(samples);
    for (int32_t tile = kWidestTile; tile >= kNarrowestTile; tile /= 2) {
        fit(job, tile);
        const bool fits = int64_t{4} * shared_words(job) <= device.shared_bytes;
        const int64_t blocks = pictures * ((job.width + tile - 1) / tile);
        if (fits && (blocks >= device.blocks || tile <= 8)) return job;
    }
    fit(job, kNarrowestTile);
    if (int64_t{4} * shared_words(job) > device.shared_bytes)
        throw std::invalid_argument("height: too tall for the shared memory of this device");
    return job;
}

void Plan::scale(Job& job, int c, double uv_range, double gain, double offset) const {
    const double units_per_uv = layout.strip_height / (2.0 * uv_range);
    const double middle = layout.strip_height / 2.0;
    job.gain[c] = -gain * units_per_uv;
    job.offset[c] = middle - offset * units_per_uv;
}

}  // namespace cuda
}  // namespace eegvlm
