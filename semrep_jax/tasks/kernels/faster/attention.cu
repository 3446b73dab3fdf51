// launch: [{"kernel": "a_block_a_query", "grid": ["T"], "block": [128], "shared": "8 * D", "args": ["q", "k", "v", "y", "i32:S", "i32:D"]}]
// Keys come 128 at a time, one to a thread: each score is computed once, and the softmax is corrected as it goes.
template <bool LARGEST> __device__ float over_block(float v) {
    __shared__ float warps[4];
    for (int step = 16; step > 0; step >>= 1) {
        float other = __shfl_xor_sync(0xffffffffu, v, step);
        v = LARGEST ? fmaxf(v, other) : v + other;
    }
    __syncthreads();  // the last one's values have been read
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
    __syncthreads();
    v = warps[0];
    for (int w = 1; w < 4; w++) v = LARGEST ? fmaxf(v, warps[w]) : v + warps[w];
    return v;
}

__global__ void a_block_a_query(const float* __restrict__ q, const float* __restrict__ k, const float* __restrict__ v, float* __restrict__ y, int S, int D) {
    extern __shared__ float memory[];
    float *query = memory, *out = memory + D;
    __shared__ float weights[128];
    for (int d = threadIdx.x; d < D; d += 128) {
        query[d] = q[(long long)blockIdx.x * D + d] * rsqrtf((float)D);
        out[d] = 0.0f;
    }
    __syncthreads();
    float top = -INFINITY, total = 0.0f;
    for (int first = 0; first < S; first += 128) {
        int key = first + threadIdx.x, many = min(128, S - first);
        float score = -INFINITY;
        if (key < S) {
            score = 0.0f;
            for (int d = 0; d < D; d++) score = fmaf(query[d], k[(long long)key * D + d], score);
        }
        float higher = fmaxf(top, over_block<true>(score)), weight = key < S ? expf(score - higher) : 0.0f;
        weights[threadIdx.x] = weight;
        float before = expf(top - higher);
        total = total * before + over_block<false>(weight);  // its barriers stand between weights and their readers
        top = higher;
        for (int d = threadIdx.x; d < D; d += 128) {
            float sum = out[d] * before;
            for (int j = 0; j < many; j++) sum = fmaf(weights[j], v[(long long)(first + j) * D + d], sum);
            out[d] = sum;
        }
        __syncthreads();
    }
    for (int d = threadIdx.x; d < D; d += 128) y[(long long)blockIdx.x * D + d] = out[d] / total;
}
