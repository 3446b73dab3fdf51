// launch: [{"kernel": "filter", "grid": ["ceil_div(W - 2, 32)", "ceil_div(H - 2, 8)", "ceil_div(O, 8)"], "block": [32, 8], "args": ["x", "w", "y", "i32:C", "i32:H", "i32:W", "i32:O"]}]
// A block makes 8 x 32 places of 8 output channels; what it sees of an input channel lies in shared memory.
__global__ void filter(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, int C, int H, int W, int O) {
    __shared__ float seen[10][34], weights[8][9];
    int left = blockIdx.x * 32, top = blockIdx.y * 8, first = blockIdx.z * 8, me = threadIdx.y * 32 + threadIdx.x;
    float sums[8] = {};
    for (int c = 0; c < C; c++) {
        for (int i = me; i < 340; i += 256) {
            int h = top + i / 34, column = left + i % 34;
            seen[i / 34][i % 34] = h < H && column < W ? x[((long long)c * H + h) * W + column] : 0.0f;
        }
        if (me < 72) weights[me / 9][me % 9] = first + me / 9 < O ? w[((first + me / 9) * C + c) * 9 + me % 9] : 0.0f;
        __syncthreads();
#pragma unroll
        for (int a = 0; a < 3; a++)
#pragma unroll
            for (int b = 0; b < 3; b++) {
                float v = seen[threadIdx.y + a][threadIdx.x + b];
#pragma unroll
                for (int o = 0; o < 8; o++) sums[o] = fmaf(v, weights[o][3 * a + b], sums[o]);
            }
        __syncthreads();
    }
    int h = top + threadIdx.y, column = left + threadIdx.x;
    if (h >= H - 2 || column >= W - 2) return;
    for (int o = 0; o < 8; o++)
        if (first + o < O) y[((long long)(first + o) * (H - 2) + h) * (W - 2) + column] = sums[o];
}
