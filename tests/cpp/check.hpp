// Checks that count their failures and say what was expected.
#pragma once

#include <cstdint>
#include <iostream>
#include <vector>

namespace eegvlm::checks {

inline int failures = 0;

inline void fail(const char* file, int line, const char* what) {
    std::cerr << file << ':' << line << ": " << what << '\n';
    ++failures;
}

template <typename A, typename B>
void equal(const A& got, const B& expected, const char* file, int line, const char* what) {
    if (got == expected) return;
    fail(file, line, what);
    std::cerr << "    got " << got << ", expected " << expected << '\n';
}

void envelope();
void layout();
void samples();
void stroke();
void sweep();
void tile();

}  // namespace eegvlm::checks

#define CHECK(condition) \
    if (!(condition)) eegvlm::checks::fail(__FILE__, __LINE__, #condition)
#define CHECK_EQUAL(got, expected) \
    eegvlm::checks::equal((got), (expected), __FILE__, __LINE__, #got " == " #expected)
