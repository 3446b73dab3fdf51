// task: masked_fill
// verdict: ok
// launch: {"scratch":{"keep":"u8[M * N]"},"launch":[{"kernel":"mark","grid":["M"],"block":[128],"args":["mask","keep","i32:N"]},{"kernel":"fill","grid":["ceil_div(M * N, 256)"],"block":[256],"args":["x","keep","y","i32:M * N"]}]}
__global__ void mark(const unsigned char* mask, unsigned char* keep, int N) {   // a block a row, a byte an element
    for (int j = threadIdx.x; j < N; j += blockDim.x) keep[blockIdx.x * N + j] = !mask[blockIdx.x * N + j];
}
__global__ void fill(const float* x, const unsigned char* keep, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = keep[i] ? x[i] : -1.0f;
}
