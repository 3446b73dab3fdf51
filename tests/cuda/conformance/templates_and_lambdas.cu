// task: silu
// verdict: ok
// launch: [{"kernel":"k<float, 4>","grid":["ceil_div(N,256)"],"block":[64],"args":["x","y","i32:N"]}]
template <typename T> struct Sigmoid { __device__ __forceinline__ T operator()(T v) const { return T(1) / (T(1) + expf(-v)); } };
template <typename T, int PER> __global__ void __launch_bounds__(64) k(const T* x, T* y, int n) {
    auto act = [](T v) { return v * Sigmoid<T>()(v); };
    #pragma unroll
    for (int j = 0; j < PER; j++) {
        int i = (blockIdx.x * PER + j) * blockDim.x + threadIdx.x;
        if (i < n) y[i] = act(x[i]);
    }
}
