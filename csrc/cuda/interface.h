/* The C interface of libeegvlm_cuda.so. A function returns 0, or 1 with the reason in eegvlm_cuda_error(). */
#pragma once

#include <stdint.h>

#define EEGVLM_CUDA_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const void* x; /* on the device; strides in bytes, of either sign, multiples of the sample's size */
    int64_t picture_stride, channel_stride, stride;
    int64_t pictures;
    void* out;        /* on the device, pictures one after another */
    const void* mask; /* on the device, one byte a sample, not 0 where it is missing; or null */
    int64_t mask_picture_stride, mask_channel_stride, mask_stride;
    void* stream;
    double uv_range[8], gain[8], offset[8]; /* by channel */
    float scale[3], bias[3];
    int32_t type;   /* of the samples: 0 f16, 1 f32, 2 f64, 3 i16, 4 i32 */
    int32_t values; /* of the output: 0 u8, 1 f16, 2 f32 */
    int32_t planes; /* 0 (3, height, width), 1 (height, width, 3), 2 (height, width) */
} EegvlmCudaCall;

/* Why the last call of this thread failed. */
EEGVLM_CUDA_API const char* eegvlm_cuda_error(void);

/* The current device. */
EEGVLM_CUDA_API int eegvlm_cuda_device(int* device);

/* What pictures of one layout and length have in common, on the current device. `background`: on the host,
   gray values behind the trace, (height, width); or null for white. */
EEGVLM_CUDA_API int eegvlm_cuda_plan(int width, int height, int rows, int channels, double line_width,
                                     int cuts, int64_t samples, const uint8_t* background, void** plan);
EEGVLM_CUDA_API void eegvlm_cuda_free(void* plan);

/* Draws call->pictures pictures in stream order. The plan must live until they are drawn. */
EEGVLM_CUDA_API int eegvlm_cuda_render(const void* plan, const EegvlmCudaCall* call);

#ifdef __cplusplus
}
#endif
