// The device's side: one launch for a batch, behind a C interface that eegvlm_rt/rendering/cuda.py loads.
#include <cuda_runtime.h>

#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/interface.h"
#include "cuda/plan.hpp"
#include "cuda/program.hpp"

namespace eegvlm {
namespace cuda {
namespace {

constexpr int kThreads = 256;

struct DeviceBlock {
    bool stream;  // past the caches: a batch larger than they are

    template <typename Step>
    __device__ __forceinline__ void each(int32_t count, Step step) {
        for (int32_t t = static_cast<int32_t>(threadIdx.x); t < count; t += kThreads) step(t);
        __syncthreads();
    }
    __device__ __forceinline__ void add(int32_t* word, int32_t value) { atomicAdd(word, value); }

    __device__ __forceinline__ void get4(int32_t* values, const int32_t* from) {
        const int4 all = *reinterpret_cast<const int4*>(from);
        values[0] = all.x, values[1] = all.y, values[2] = all.z, values[3] = all.w;
    }
    __device__ __forceinline__ void put4(int32_t* to, const int32_t* values) {
        *reinterpret_cast<int4*>(to) = make_int4(values[0], values[1], values[2], values[3]);
    }

    template <typename Word>
    __device__ __forceinline__ void write(void* to, Word word) {
        if (stream)
            __stcs(static_cast<Word*>(to), word);
        else
            *static_cast<Word*>(to) = word;
    }
    __device__ __forceinline__ void store4(float* to, const float* v) {
        if (reinterpret_cast<uintptr_t>(to) % 16 == 0)
            write(to, make_float4(v[0], v[1], v[2], v[3]));
        else
            for (int i = 0; i < 4; ++i) to[i] = v[i];
    }
    __device__ __forceinline__ void store4(uint16_t* to, const uint16_t* v) {
        if (reinterpret_cast<uintptr_t>(to) % 8 == 0)
            write(to, make_ushort4(v[0], v[1], v[2], v[3]));
        else
            for (int i = 0; i < 4; ++i) to[i] = v[i];
    }
    __device__ __forceinline__ void store4(uint8_t* to, const uint8_t* v) {
        if (reinterpret_cast<uintptr_t>(to) % 4 == 0)
            write(to, make_uchar4(v[0], v[1], v[2], v[3]));
        else
            for (int i = 0; i < 4; ++i) to[i] = v[i];
    }
};

template <int kSub, int kTaps>
__global__ void __launch_bounds__(kThreads, 3)
    draw(const __grid_constant__ Job job, int64_t tiles, bool stream) {
    extern __shared__ int4 room[];
    DeviceBlock block{stream};
    const int64_t picture = blockIdx.x / tiles;
    const auto first = static_cast<int32_t>(blockIdx.x - picture * tiles) * job.tile_width;
    draw_tile<kSub, kTaps>(block, job, picture, first, reinterpret_cast<int32_t*>(room));
}

thread_local std::string last_error;

int failed(const std::string& what) {
    last_error = what;
    return 1;
}

int failed(const char* during, cudaError_t error) {
    cudaGetLastError();
    return failed(std::string(during) + ": " + cudaGetErrorString(error));
}

template <typename T>
cudaError_t upload(T** to, const std::vector<T>& from) {
    const size_t bytes = from.size() * sizeof(T);
    const cudaError_t error = cudaMalloc(reinterpret_cast<void**>(to), bytes);
    return error == cudaSuccess ? cudaMemcpy(*to, from.data(), bytes, cudaMemcpyHostToDevice) : error;
}

struct DevicePlan {
    explicit DevicePlan(const Layout& layout, int64_t samples) : plan(layout, samples) {}
    DevicePlan(const DevicePlan&) = delete;
    DevicePlan& operator=(const DevicePlan&) = delete;
    ~DevicePlan() {
        cudaFree(left);
        cudaFree(share);
        cudaFree(profile);
        cudaFree(background);
    }

    Plan plan;
    Device device{};
    int64_t cache_bytes = 0;
    int32_t *left = nullptr, *profile = nullptr;
    float* share = nullptr;
    uint8_t* background = nullptr;
};

cudaError_t set_up(DevicePlan& to, const std::vector<uint8_t>& background) {
    int index = 0, shared = 0, processors = 0, cache = 0;
    cudaError_t error = cudaGetDevice(&index);
    const auto ask = [&](int* value, cudaDeviceAttr attribute) {
        if (error == cudaSuccess) error = cudaDeviceGetAttribute(value, attribute, index);
    };
    ask(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin);
    ask(&processors, cudaDevAttrMultiProcessorCount);
    ask(&cache, cudaDevAttrL2CacheSize);
    to.device = {shared, 2 * static_cast<int64_t>(processors)};
    to.cache_bytes = cache;
    if (error == cudaSuccess) error = upload(&to.left, to.plan.left);
    if (error == cudaSuccess) error = upload(&to.share, to.plan.share);
    if (error == cudaSuccess) error = upload(&to.profile, to.plan.profile);
    if (error == cudaSuccess && !background.empty()) error = upload(&to.background, background);
    for (const auto kernel : {draw<8, 8>, draw<0, 0>})
        if (error == cudaSuccess)
            error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
    return error;
}

}  // namespace
}  // namespace cuda
}  // namespace eegvlm

using eegvlm::cuda::DevicePlan;
using eegvlm::cuda::failed;

const char* eegvlm_cuda_error() { return eegvlm::cuda::last_error.c_str(); }

int eegvlm_cuda_device(int* device) {
    const cudaError_t error = cudaGetDevice(device);
    return error == cudaSuccess ? 0 : failed("no CUDA device", error);
}

int eegvlm_cuda_plan(int width, int height, int rows, int channels, double line_width, int cuts,
                     int64_t samples, const uint8_t* background, void** plan) {
    try {
        auto made = std::make_unique<DevicePlan>(
            eegvlm::Layout({width, height, rows, channels, line_width, cuts}), samples);
        std::vector<uint8_t> behind;
        if (background) behind.assign(background, background + static_cast<size_t>(width) * static_cast<size_t>(height));
        const cudaError_t error = eegvlm::cuda::set_up(*made, behind);
        if (error != cudaSuccess) return failed("plan", error);
        *plan = made.release();
        return 0;
    } catch (const std::exception& error) {
        return failed(error.what());
    }
}

void eegvlm_cuda_free(void* plan) { delete static_cast<DevicePlan*>(plan); }

int eegvlm_cuda_render(const void* plan, const EegvlmCudaCall* call) {
    try {
        const DevicePlan& p = *static_cast<const DevicePlan*>(plan);
        if (call->pictures == 0) return 0;
        eegvlm::cuda::Job job = p.plan.job(p.device, call->pictures);
        for (int c = 0; c < job.channels; ++c) p.plan.scale(job, c, call->uv_range[c], call->gain[c], call->offset[c]);
        job.left = p.left;
        job.share = p.share;
        job.profile = p.profile;
        job.background = p.background;
        job.mask = {static_cast<const std::byte*>(call->mask), call->mask_picture_stride,
                    call->mask_channel_stride, call->mask_stride};
        job.x = static_cast<const std::byte*>(call->x);
        job.picture_stride = call->picture_stride;
        job.channel_stride = call->channel_stride;
        job.stride = call->stride;
        job.type = static_cast<eegvlm::SampleType>(call->type);
        job.out = static_cast<std::byte*>(call->out);
        job.values = static_cast<eegvlm::cuda::Values>(call->values);
        job.planes = static_cast<eegvlm::cuda::Planes>(call->planes);
        std::memcpy(job.scale, call->scale, sizeof job.scale);
        std::memcpy(job.bias, call->bias, sizeof job.bias);

        const int64_t tiles = (job.width + job.tile_width - 1) / job.tile_width;
        const int64_t blocks = tiles * call->pictures;
        if (blocks > 0x7fffffff) return failed("x: too many pictures for one launch");
        const int64_t bytes = (int64_t{1} << call->values) * job.width * job.height * call->pictures *
                              (job.planes == eegvlm::cuda::Planes::gray ? 1 : 3);
        const size_t shared = 4 * static_cast<size_t>(eegvlm::cuda::shared_words(job));
        const auto kernel =
            job.sub_columns == 8 && job.taps == 8 ? eegvlm::cuda::draw<8, 8> : eegvlm::cuda::draw<0, 0>;
        kernel<<<static_cast<unsigned>(blocks), eegvlm::cuda::kThreads, shared,
                 static_cast<cudaStream_t>(call->stream)>>>(job, tiles, bytes > p.cache_bytes);
        const cudaError_t error = cudaGetLastError();
        return error == cudaSuccess ? 0 : failed("launch", error);
    } catch (const std::exception& error) {
        return failed(error.what());
    }
}
