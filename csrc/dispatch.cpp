#include <atomic>
#include <stdexcept>

#include "simd/loops.hpp"
#include "simd/processor.hpp"

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
    const int level = processor_level();
    if (level >= 4) found.push_back(&x86_64_v4::kLoops);
    if (level >= 3) found.push_back(&x86_64_v3::kLoops);
    if (level >= 2) found.push_back(&x86_64_v2::kLoops);
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
