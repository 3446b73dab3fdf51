// launch: [{"kernel": "product", "grid": ["ceil_div(L, 64)", "ceil_div(O, 64)"], "block": [16, 16], "args": ["x", "w", "y", "i32:C", "i32:L", "i32:O"]}]
// y = w x, by tiles of 64 x 64 in shared memory, 4 x 4 outputs a thread.
__global__ void product(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, int C, int L, int O) {
    __shared__ float of_w[16][65], of_x[16][65];
    int thread = threadIdx.y * 16 + threadIdx.x, left = blockIdx.x * 64, top = blockIdx.y * 64;
    float sum[4][4] = {};
    for (int from = 0; from < C; from += 16) {
        for (int i = thread; i < 16 * 64; i += 256) {
            int o = i / 16, c = i % 16, l = i % 64, d = i / 64;
            of_w[c][o] = top + o < O && from + c < C ? w[(long long)(top + o) * C + from + c] : 0.0f;
            of_x[d][l] = left + l < L && from + d < C ? x[(long long)(from + d) * L + left + l] : 0.0f;
        }
        __syncthreads();
#pragma unroll
        for (int c = 0; c < 16; c++)
#pragma unroll
            for (int a = 0; a < 4; a++)
#pragma unroll
                for (int b = 0; b < 4; b++) sum[a][b] += of_w[c][threadIdx.y + 16 * a] * of_x[c][threadIdx.x + 16 * b];
        __syncthreads();
    }
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++) {
            int o = top + threadIdx.y + 16 * a, l = left + threadIdx.x + 16 * b;
            if (o < O && l < L) y[(long long)o * L + l] = sum[a][b];
        }
}
