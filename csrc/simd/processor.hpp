// What this x86-64 processor and its system can run. Asked of the processor itself: __builtin_cpu_supports
// answers by a library of the compiler, and that of Zig always says no.
#pragma once

namespace eegvlm {

// 1 for any x86-64, 2 to 4 for the levels of its ABI: all that a compiler may use for a level is there, and a
// virtual machine can hide any of it.
int processor_level();

}  // namespace eegvlm
