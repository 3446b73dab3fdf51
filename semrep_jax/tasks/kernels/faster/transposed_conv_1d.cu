// launch: [{"kernel": "spread", "grid": ["ceil_div(L + 1, 128)", "ceil_div(O, 8)"], "block": [128], "args": ["x", "w", "y", "i32:C", "i32:L", "i32:O"]}]
// A thread makes the two places of the result that its place of the input begins at, for 8 output channels: no division.
__global__ void spread(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, int C, int L, int O) {
    __shared__ float weights[8][3];
    int me = threadIdx.x, at = blockIdx.x * 128 + me, top = blockIdx.y * 8;
    float even[8] = {}, odd[8] = {};
    for (int c = 0; c < C; c++) {
        if (me < 24) weights[me / 3][me % 3] = top + me / 3 < O ? w[((long long)c * O + top) * 3 + me] : 0.0f;
        __syncthreads();
        float here = at < L ? x[(long long)c * L + at] : 0.0f, before = 0 < at && at <= L ? x[(long long)c * L + at - 1] : 0.0f;
        for (int o = 0; o < 8; o++) {
            even[o] += here * weights[o][0] + before * weights[o][2];
            odd[o] += here * weights[o][1];
        }
        __syncthreads();
    }
    for (int o = 0; o < 8 && top + o < O; o++) {
        float* row = y + (long long)(top + o) * (2 * L + 1);
        if (at <= L) row[2 * at] = even[o];
        if (at < L) row[2 * at + 1] = odd[o];
    }
}
