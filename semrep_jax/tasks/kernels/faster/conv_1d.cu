// launch: [{"kernel": "filter", "grid": ["ceil_div(L - 2, 128)", "ceil_div(O, 8)"], "block": [128], "args": ["x", "w", "y", "i32:C", "i32:L", "i32:O"]}]
// A thread makes one place of 8 output channels: each piece of the input is read from memory once for all of them.
__global__ void filter(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, int C, int L, int O) {
    __shared__ float piece[130], weights[8][3];
    int first = blockIdx.x * 128, me = threadIdx.x, top = blockIdx.y * 8;
    float sums[8] = {};
    for (int c = 0; c < C; c++) {
        for (int i = me; i < 130; i += 128) piece[i] = first + i < L ? x[(long long)c * L + first + i] : 0.0f;
        if (me < 24) weights[me / 3][me % 3] = top + me / 3 < O ? w[((top + me / 3) * C + c) * 3 + me % 3] : 0.0f;
        __syncthreads();
        float a = piece[me], b = piece[me + 1], d = piece[me + 2];
        for (int o = 0; o < 8; o++) sums[o] += a * weights[o][0] + b * weights[o][1] + d * weights[o][2];
        __syncthreads();
    }
    for (int o = 0; o < 8; o++)
        if (top + o < O && first + me < L - 2) y[(long long)(top + o) * (L - 2) + first + me] = sums[o];
}
