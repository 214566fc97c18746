#include "simd/loops.hpp"

#ifndef EEGVLM_LEVEL
#define EEGVLM_LEVEL plain
#endif
#define EEGVLM_TEXT(name) #name
#define EEGVLM_NAME(name) EEGVLM_TEXT(name)

#include "simd/pixels.hpp"
#include "simd/stroke.hpp"
#include "simd/trace.hpp"

namespace eegvlm {
namespace EEGVLM_LEVEL {

extern const Loops kLoops;
const Loops kLoops{EEGVLM_NAME(EEGVLM_LEVEL),
                   read,
                   settle_all,
                   read_edges,
                   read_apart,
                   span,
                   include,
                   dilate,
                   scatter,
                   resolve,
                   flush};

}  // namespace EEGVLM_LEVEL
}  // namespace eegvlm
