// task: row_argmax
// verdict: ok
// launch: [{"kernel":"k","grid":["M"],"block":[32],"args":["x","y","i32:N"]}]
__global__ void k(const float* x, int* y, int n) {
    float best = -INFINITY;
    int at = 0x7fffffff;
    for (int j = threadIdx.x; j < n; j += 32) { float v = x[blockIdx.x * n + j]; if (v > best) best = v, at = j; }
    float top = best;
    for (int o = 16; o; o >>= 1) top = fmaxf(top, __shfl_xor_sync(~0u, top, o));
    unsigned holders = __ballot_sync(~0u, best == top);
    int mine = (holders >> threadIdx.x & 1) ? at : 0x7fffffff;
    mine = __reduce_min_sync(~0u, mine);
    if (threadIdx.x == __ffs(holders) - 1) y[blockIdx.x] = mine;
}
