// launch: [{"kernel": "planes", "grid": ["C"], "block": [256], "args": ["x", "y", "i32:H * W"]}]
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

__global__ void planes(const float* __restrict__ x, float* __restrict__ y, int n) {
    const float* plane = x + (long long)blockIdx.x * n;
    float s = 0.0f;
    if (n % 4 == 0) {
        const float4* fours = reinterpret_cast<const float4*>(plane);
        for (int i = threadIdx.x; i < n / 4; i += 256) {
            float4 v = fours[i];
            s += (v.x + v.y) + (v.z + v.w);
        }
    } else {
        for (int i = threadIdx.x; i < n; i += 256) s += plane[i];
    }
    s = over_block<false>(s);
    if (threadIdx.x == 0) y[blockIdx.x] = s / n;
}
