// Loops compiled for several instruction sets, the widest the machine has being taken when the program
// starts. Every version computes the same numbers: no contraction, no reassociation, integers wherever sums
// are taken.
#pragma once

#if !defined(EEGVLM_ONE_VERSION) && defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && \
    !defined(__clang__)
#define EEGVLM_MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EEGVLM_MULTIVERSION
#endif
