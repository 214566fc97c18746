#include <atomic>
#include <stdexcept>

#include "simd/loops.hpp"

namespace eegvlm {

namespace plain {
extern const Loops kLoops;
}
#if defined(EEGVLM_LEVELS)
namespace x86_64_v2 {
extern const Loops kLoops;
}
namespace x86_64_v3 {
extern const Loops kLoops;
}
namespace x86_64_v4 {
extern const Loops kLoops;
}
#endif

namespace {

std::vector<const Loops*> available() {
    std::vector<const Loops*> found;
#if defined(EEGVLM_LEVELS)
    // All that a compiler may use for a level: a virtual machine can hide any of it.
    const bool v2 = __builtin_cpu_supports("sse3") && __builtin_cpu_supports("ssse3") &&
                    __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("sse4.2") &&
                    __builtin_cpu_supports("popcnt");
    const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c") &&
                    __builtin_cpu_supports("fma") && __builtin_cpu_supports("lzcnt") &&
                    __builtin_cpu_supports("movbe");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    if (v4) found.push_back(&x86_64_v4::kLoops);
    if (v3) found.push_back(&x86_64_v3::kLoops);
    if (v2) found.push_back(&x86_64_v2::kLoops);
#endif
    found.push_back(&plain::kLoops);
    return found;
}

std::atomic<const Loops*>& chosen() {
    static std::atomic<const Loops*> best{available().front()};
    return best;
}

}  // namespace

const Loops& loops() { return *chosen().load(std::memory_order_relaxed); }

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const Loops* version : available()) names.emplace_back(version->name);
    return names;
}

void use_instruction_set(const std::string& name) {
    for (const Loops* version : available())
        if (name == version->name) {
            chosen() = version;
            return;
        }
    throw std::invalid_argument("instruction_set: not available on this machine");
}

}  // namespace eegvlm
