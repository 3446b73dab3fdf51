// task: row_max
// verdict: ok
// launch: [{"kernel":"k<float>","grid":["M"],"block":[32],"args":["x","y","i32:N"]}]
#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>
template <typename T> __global__ void k(const T* x, T* y, int n) {
    static_assert(std::is_same_v<T, float> && std::is_floating_point<T>::value, "");
    T best = -std::numeric_limits<T>::infinity();
    for (std::size_t i = threadIdx.x; i < std::size_t(n); i += 32) best = std::max(best, x[std::int64_t(blockIdx.x) * n + i]);
    for (int o = 16; o; o /= 2) best = std::max(best, __shfl_xor_sync(~0u, best, o));
    if (threadIdx.x == 0) y[blockIdx.x] = best * std::exp(T(0)) + std::min(0, int(threadIdx.x));
}
