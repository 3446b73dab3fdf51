// launch: [{"kernel": "rows", "grid": ["M"], "block": [256], "args": ["x", "y", "i32:N"]}]
// The sum (or the largest) of a value of every thread of a block of 256, known to them all.
template <bool LARGEST> __device__ float together(float a, float b) { return LARGEST ? fmaxf(a, b) : a + b; }
template <bool LARGEST> __device__ float over_block(float v) {
    __shared__ float warps[8];
    for (int step = 16; step > 0; step >>= 1) v = together<LARGEST>(v, __shfl_xor_sync(0xffffffffu, v, step));
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
    __syncthreads();
    v = warps[0];
    for (int w = 1; w < 8; w++) v = together<LARGEST>(v, warps[w]);
    __syncthreads();  // the next one writes where slower warps still read
    return v;
}

// The largest value of a row, and the sum of exp(value - largest), in one pass over it.
__device__ float2 largest_and_sum(const float* r, int n) {
    float top = -INFINITY, sum = 0.0f;
    for (int j = threadIdx.x; j < n; j += 256) {
        float v = r[j], higher = fmaxf(top, v);
        sum = sum * expf(top - higher) + expf(v - higher);
        top = higher;
    }
    float all = over_block<true>(top);
    sum = over_block<false>(top == -INFINITY ? 0.0f : sum * expf(top - all));
    return make_float2(all, sum);
}

__global__ void rows(const float* __restrict__ x, float* __restrict__ y, int n) {
    const float* r = x + (long long)blockIdx.x * n;
    float2 found = largest_and_sum(r, n);
    float shift = found.x, total = logf(found.y);
    for (int j = threadIdx.x; j < n; j += 256) y[(long long)blockIdx.x * n + j] = r[j] - shift - total;
}
