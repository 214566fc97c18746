// What one block of threads does: a tile of a few pixel columns of one picture, from samples to pixels.
// `Block` deals out the steps: on the device to its threads with a barrier after each step, in the tests one
// after another.
#pragma once

#include "cuda/job.hpp"
#include "pixel_math.hpp"

#if defined(__CUDACC__)
#define EEGVLM_DEVICE __host__ __device__ __forceinline__
#else
#define EEGVLM_DEVICE inline
#endif

namespace eegvlm {
namespace cuda {

static constexpr int32_t kNone = 1 << 28;  // an empty range: low = kNone, high = -kNone

EEGVLM_DEVICE int32_t lesser(int32_t a, int32_t b) { return a < b ? a : b; }
EEGVLM_DEVICE int32_t greater(int32_t a, int32_t b) { return a > b ? a : b; }
EEGVLM_DEVICE bool missing(float position) { return position != position; }

// Words of shared memory, in this order: edges, envelope (low, high; later the segments' sums), gaps,
// positions of samples.
EEGVLM_DEVICE int32_t edge_words(const Job& job) { return (job.height + 1) * job.tile_width; }
EEGVLM_DEVICE int32_t envelope_words(const Job& job) {
    const int32_t cells = 2 * job.strips_at_once * job.sub_columns * job.pitch;
    return (greater(cells, job.segments * job.tile_width) + 3) & ~3;
}
EEGVLM_DEVICE int32_t shared_words(const Job& job) {
    return edge_words(job) + envelope_words(job) + job.strips_at_once * (1 + job.staged);
}

EEGVLM_DEVICE double value_at(SampleType type, const std::byte* at) {
    switch (type) {
        case SampleType::f16:
            return static_cast<double>(half_value(*reinterpret_cast<const uint16_t*>(at)));
        case SampleType::f32:
            return static_cast<double>(*reinterpret_cast<const float*>(at));
        case SampleType::f64:
            return *reinterpret_cast<const double*>(at);
        case SampleType::i16:
            return static_cast<double>(*reinterpret_cast<const int16_t*>(at));
        default:
            return static_cast<double>(*reinterpret_cast<const int32_t*>(at));
    }
}

// Held where the whole stroke fits in the strip.
EEGVLM_DEVICE int32_t settled(const Job& job, float position) {
    return settle(position, job.highest, job.lowest);
}

struct Trace {
    const Job& job;
    const std::byte* x;
    const std::byte* mask;
    double gain, offset;

    EEGVLM_DEVICE Trace(const Job& of, int64_t picture, int32_t channel)
        : job(of),
          x(of.x + picture * of.picture_stride + channel * of.channel_stride),
          mask(of.mask.data
                   ? of.mask.data + picture * of.mask.picture_stride + channel * of.mask.channel_stride
                   : nullptr),
          gain(of.gain[channel]),
          offset(of.offset[channel]) {}

    EEGVLM_DEVICE float at(int32_t sample) const {
        if (mask && mask[sample * job.mask.stride] != std::byte{0}) return __builtin_nanf("");
        return eegvlm::position(value_at(job.type, x + sample * job.stride), gain, offset);
    }
};

// As Trace, where the samples of interest were read before, from number `from` on.
struct StagedTrace {
    const Job& job;
    const float* positions;
    int32_t from;

    EEGVLM_DEVICE float at(int32_t sample) const { return positions[sample - from]; }
};

struct Range {
    int32_t low = kNone, high = -kNone;

    EEGVLM_DEVICE void reach(int32_t low_y, int32_t high_y) {
        low = lesser(low, low_y);
        high = greater(high, high_y);
    }
};

// Lowest and highest point of the trace within a cell, whatever is missing in it. `gap` is set if any is.
template <typename Samples>
EEGVLM_DEVICE Range envelope(const Samples& trace, int32_t cell, int32_t* gap) {
    const Job& job = trace.job;
    Range range;
    const int32_t before = job.left[cell], last = job.left[cell + 1];
    bool hole = false;
    float position = 0.0f;
    bool connected = before >= 0 && before < job.samples;
    if (connected) {
        position = trace.at(before);
        hole = missing(position);
    }
    const int32_t end = lesser(last + 1, job.samples - 1);
    // From the sample before the cell to the one after it; each stretch between two of them that crosses an
    // edge adds the point where it does.
    for (int32_t i = greater(before + 1, 0); i <= end; ++i) {
        const float next = trace.at(i);
        hole |= missing(next);
        const bool linked = connected && !missing(position) && !missing(next);
        if (linked && i == before + 1) {
            const int32_t y = settled(job, between(position, next, job.share[cell]));
            range.reach(y, y);
        }
        if (linked && i == last + 1) {
            const int32_t y = settled(job, between(position, next, job.share[cell + 1]));
            range.reach(y, y);
        }
        if (i <= last && !missing(next)) {
            const int32_t y = settled(job, next);
            range.reach(y, y);
        }
        position = next;
        connected = true;
    }
    if (hole) *gap = 1;
    return range;
}

// The parts of a cut beside a gap, from the top: a part that ends below `above`, as far as it goes down.
// Every unbroken run of samples under the pen covers one interval; the cut is their union.
class Parts {
  public:
    EEGVLM_DEVICE Parts(const Trace& trace, int32_t first_cell, int32_t above)
        : trace_(trace), first_cell_(first_cell), above_(above) {}

    // False if nothing ends below.
    EEGVLM_DEVICE bool next(int32_t* top, int32_t* bottom) {
        start_ = kNone;
        walk(&Parts::find_start);
        if (start_ == kNone) return false;
        start_ = greater(start_, above_);
        stop_ = start_;
        walk(&Parts::find_stop);
        *top = start_;
        *bottom = above_ = stop_;
        return true;
    }

  private:
    using Visit = void (Parts::*)(const Range&);

    EEGVLM_DEVICE void find_start(const Range& run) {
        if (run.high > above_) start_ = lesser(start_, run.low);
    }
    EEGVLM_DEVICE void find_stop(const Range& run) {
        if (run.low <= start_) stop_ = greater(stop_, run.high);
    }

    EEGVLM_DEVICE void walk(Visit visit) {
        const Job& job = trace_.job;
        Range run;
        for (int32_t k = 0; k < job.taps; ++k) {
            const int32_t cell = first_cell_ + k, raise = job.profile[k];
            const int32_t before = job.left[cell], last = job.left[cell + 1];
            const int32_t end = lesser(last + 1, job.samples - 1);
            const bool known = before >= 0 && before < job.samples;
            float position = known ? trace_.at(before) : nowhere();
            for (int32_t i = greater(before + 1, 0); i <= end; ++i) {
                const float next = trace_.at(i);
                const bool linked = !missing(position) && !missing(next);
                if (!linked && i <= last) close(&run, visit);
                if (linked && i == before + 1) reach(&run, position, next, job.share[cell], raise);
                if (linked && i == last + 1) reach(&run, position, next, job.share[cell + 1], raise);
                if (i <= last && !missing(next)) {
                    const int32_t y = settled(trace_.job, next);
                    run.reach(y - raise, y + raise);
                }
                position = next;
            }
        }
        close(&run, visit);
    }

    EEGVLM_DEVICE static float nowhere() { return __builtin_nanf(""); }

    EEGVLM_DEVICE void reach(Range* run, float position, float next, float share, int32_t raise) {
        const int32_t y = settled(trace_.job, between(position, next, share));
        run->reach(y - raise, y + raise);
    }

    EEGVLM_DEVICE void close(Range* run, Visit visit) {
        if (run->low <= run->high) (this->*visit)(*run);
        *run = Range();
    }

    const Trace& trace_;
    int32_t first_cell_, above_;
    int32_t start_ = 0, stop_ = 0;
};

// Four pixels side by side, or as many as `count`, to one picture's row.
template <typename Block, typename Number, typename Shade>
EEGVLM_DEVICE void put(Block& block, const Job& job, int64_t picture, int32_t y, int32_t x, int32_t count,
                       const int32_t* gray, Shade shade) {
    Number* out = reinterpret_cast<Number*>(job.out);
    const int64_t plane = static_cast<int64_t>(job.width) * job.height;
    const int64_t at = static_cast<int64_t>(y) * job.width + x;
    if (job.planes == Planes::hwc) {
        Number values[12];
        for (int32_t i = 0; i < 4; ++i)
            for (int32_t p = 0; p < 3; ++p) values[3 * i + p] = shade(gray[i], p);
        Number* to = out + 3 * (picture * plane + at);
        if (count == 4)
            for (int32_t q = 0; q < 3; ++q) block.store4(to + 4 * q, values + 4 * q);
        else
            for (int32_t i = 0; i < 3 * count; ++i) to[i] = values[i];
        return;
    }
    const int32_t planes = job.planes == Planes::gray ? 1 : 3;
    for (int32_t p = 0; p < planes; ++p) {
        Number values[4];
        for (int32_t i = 0; i < 4; ++i) values[i] = shade(gray[i], p);
        Number* to = out + (picture * planes + p) * plane + at;
        if (count == 4)
            block.store4(to, values);
        else
            for (int32_t i = 0; i < count; ++i) to[i] = values[i];
    }
}

template <typename Block>
EEGVLM_DEVICE void put_pixels(Block& block, const Job& job, int64_t picture, int32_t y, int32_t x,
                              int32_t count, const int32_t* gray) {
    switch (job.values) {
        case Values::u8:
            return put<Block, uint8_t>(block, job, picture, y, x, count, gray,
                                       [](int32_t g, int32_t) { return static_cast<uint8_t>(g); });
        case Values::f16:
            return put<Block, uint16_t>(block, job, picture, y, x, count, gray, [&](int32_t g, int32_t p) {
                return half_bits(normalized(g, job.scale[p], job.bias[p]));
            });
        default:
            return put<Block, float>(block, job, picture, y, x, count, gray, [&](int32_t g, int32_t p) {
                return normalized(g, job.scale[p], job.bias[p]);
            });
    }
}

// Draws `job.tile_width` pixel columns from `first` on. kSub and kTaps are job.sub_columns and job.taps where
// they are known to the compiler, or 0.
template <int kSub, int kTaps, typename Block>
EEGVLM_DEVICE void draw_tile(Block& block, const Job& job, int64_t picture, int32_t first, int32_t* shared) {
    const int32_t sub = kSub ? kSub : job.sub_columns, taps = kTaps ? kTaps : job.taps;
    const int32_t tile = job.tile_width, pitch = job.pitch, unit_bits = job.unit_bits;
    const int32_t columns = lesser(tile, job.width - first);
    const int32_t cells = columns * sub + taps - 1;
    const int32_t strips = job.rows * job.channels;
    int32_t* const edges = shared;
    int32_t* const lows = edges + edge_words(job);
    int32_t* const highs = lows + job.strips_at_once * sub * pitch;
    int32_t* const gaps = lows + envelope_words(job);
    float* const positions = reinterpret_cast<float*>(gaps + job.strips_at_once);
    const int32_t staged = job.staged;

    block.each(edge_words(job), [&](int32_t t) { edges[t] = 0; });
    for (int32_t from = 0; from < strips; from += job.strips_at_once) {
        const int32_t group = lesser(job.strips_at_once, strips - from);
        block.each(greater(group, group * staged), [&](int32_t t) {
            if (t < group) gaps[t] = 0;
            if (staged == 0) return;
            const int32_t s = t / staged, strip = from + s;
            const int32_t cell = strip / job.channels * job.row_columns + first * sub;
            const int32_t sample = job.left[cell] + t - s * staged;
            if (sample >= 0 && sample < job.samples)
                positions[t] = Trace(job, picture, strip % job.channels).at(sample);
        });
        block.each(group * cells, [&](int32_t t) {
            const int32_t s = t / cells, i = t - s * cells;
            const int32_t row = (from + s) / job.channels, channel = (from + s) % job.channels;
            const int32_t begin = row * job.row_columns + first * sub;
            const Range range = staged ? envelope(StagedTrace{job, positions + s * staged, job.left[begin]},
                                                  begin + i, &gaps[s])
                                       : envelope(Trace(job, picture, channel), begin + i, &gaps[s]);
            const int32_t at = (s * sub + i % sub) * pitch + i / sub;
            lows[at] = range.low;
            highs[at] = range.high;
        });
        block.each(group * sub * tile, [&](int32_t t) {
            const int32_t x = t & (tile - 1), s = t / tile / sub, cut = t / tile % sub;
            if (x >= columns) return;
            const int32_t strip = from + s;
            const int32_t base =
                static_cast<int32_t>((static_cast<int64_t>(strip * job.height) << unit_bits) / strips);
            int32_t* const column = edges + x;
            if (gaps[s]) {
                const int32_t cell = strip / job.channels * job.row_columns + (first + x) * sub + cut;
                const Trace trace(job, picture, strip % job.channels);
                Parts parts(trace, cell, -kNone);
                for (int32_t top, bottom; parts.next(&top, &bottom);) {
                    block.add(column + ((base + top) >> unit_bits) * tile,
                              edge_weights(base + top, unit_bits));
                    block.add(column + ((base + bottom) >> unit_bits) * tile,
                              -edge_weights(base + bottom, unit_bits));
                }
                return;
            }
            int32_t top = kNone, bottom = -kNone;
            int32_t q = s * sub + cut, wrap = cut;
            const int32_t* low = lows + q * pitch + x;
            const int32_t* high = highs + q * pitch + x;
            for (int32_t k = 0; k < taps; ++k) {
                const int32_t raise = job.profile[k];
                top = lesser(top, *low - raise);
                bottom = greater(bottom, *high + raise);
                const bool carry = ++wrap == sub;
                wrap = carry ? 0 : wrap;
                const int32_t step = carry ? 1 - (sub - 1) * pitch : pitch;
                low += step;
                high += step;
            }
            if (top >= bottom) return;
            block.add(column + ((base + top) >> unit_bits) * tile, edge_weights(base + top, unit_bits));
            block.add(column + ((base + bottom) >> unit_bits) * tile,
                      -edge_weights(base + bottom, unit_bits));
        });
    }

    // Down each pixel column: segments are summed apart, then each begins with what those above it weigh.
    const int32_t segments = job.segments, fours = tile / 4;
    const int32_t length = (job.height + segments - 1) / segments;
    int32_t* const above = lows;
    block.each(segments * fours, [&](int32_t t) {
        const int32_t x = 4 * (t % fours), segment = t / fours;
        const int32_t end = lesser((segment + 1) * length, job.height);
        int32_t sums[4] = {};
        for (int32_t y = segment * length; y < end; ++y) {
            int32_t words[4];
            block.get4(words, edges + y * tile + x);
            for (int32_t i = 0; i < 4; ++i) sums[i] += within(words[i]) + below(words[i]);
        }
        block.put4(above + segment * tile + x, sums);
    });
    block.each(tile, [&](int32_t x) {
        int32_t sum = 0;
        for (int32_t segment = 0; segment < segments; ++segment) {
            const int32_t own = above[segment * tile + x];
            above[segment * tile + x] = sum;
            sum += own;
        }
    });
    const int32_t darkness = darkness_of(sub << unit_bits);
    block.each(segments * fours, [&](int32_t t) {
        const int32_t x = 4 * (t % fours), segment = t / fours;
        const int32_t end = lesser((segment + 1) * length, job.height);
        const int32_t count = lesser(4, columns - x);
        if (count <= 0) return;
        int32_t sums[4];
        block.get4(sums, above + segment * tile + x);
        for (int32_t y = segment * length; y < end; ++y) {
            int32_t words[4], gray[4];
            block.get4(words, edges + y * tile + x);
            for (int32_t i = 0; i < 4; ++i) {
                const int32_t covered = sums[i] + within(words[i]);
                sums[i] = covered + below(words[i]);
                gray[i] = gray_of(covered, darkness);
            }
            if (job.background)
                for (int32_t i = 0; i < count; ++i)
                    gray[i] = over_background(
                        gray[i], job.background[static_cast<int64_t>(y) * job.width + first + x + i]);
            put_pixels(block, job, picture, y, first + x, count, gray);
        }
    });
}

}  // namespace cuda
}  // namespace eegvlm
