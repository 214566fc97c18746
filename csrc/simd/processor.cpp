#include "processor.hpp"

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstdint>
#endif

namespace eegvlm {

#if defined(__x86_64__)

namespace {

// Bits by Intel's Software Developer's Manual, volume 2, CPUID.
constexpr uint32_t bit(int number) { return uint32_t{1} << number; }
constexpr uint32_t kSaved = bit(27);  // OSXSAVE
constexpr uint32_t kV2 =
    bit(0) | bit(9) | bit(19) | bit(20) | bit(23);               // SSE3, SSSE3, SSE4.1, SSE4.2, POPCNT
constexpr uint32_t kV3 = bit(12) | bit(22) | bit(28) | bit(29);  // FMA, MOVBE, AVX, F16C
constexpr uint32_t kV3Leaf7 = bit(3) | bit(5) | bit(8);          // BMI1, AVX2, BMI2
constexpr uint32_t kV3Extended = bit(5);                         // LZCNT
constexpr uint32_t kV4 = bit(16) | bit(17) | bit(28) | bit(30) | bit(31);  // AVX-512 F, DQ, CD, BW, VL
constexpr uint32_t kAvxState = bit(1) | bit(2);                            // XMM, YMM
constexpr uint32_t kAvx512State = kAvxState | bit(5) | bit(6) | bit(7);    // masks, ZMM

struct Registers {
    uint32_t a = 0, b = 0, c = 0, d = 0;
};

// Zeros for a leaf that the processor does not have.
Registers cpuid(uint32_t leaf) {
    Registers r;
    __get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c, &r.d);
    return r;
}

// Which registers the system saves when it changes tasks.
uint32_t saved_state() {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

bool all(uint32_t found, uint32_t needed) { return (found & needed) == needed; }

}  // namespace

int processor_level() {
    const uint32_t basic = cpuid(1).c, leaf7 = cpuid(7).b, extended = cpuid(0x80000001).c;
    if (!all(basic, kV2)) return 1;
    if (!all(basic, kV3 | kSaved) || !all(leaf7, kV3Leaf7) || !all(extended, kV3Extended)) return 2;
    const uint32_t state = saved_state();
    if (!all(state, kAvxState)) return 2;
    return all(leaf7, kV4) && all(state, kAvx512State) ? 4 : 3;
}

#else

int processor_level() { return 0; }

#endif

}  // namespace eegvlm
