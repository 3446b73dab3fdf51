// task: row_max
// verdict: ok
// launch: [{"kernel":"k<128>","grid":["M"],"block":[128],"args":["x","y","i32:N"]}]
template <int T> __device__ float block_max(float v) {
    __shared__ float s[T];
    s[threadIdx.x] = v;
    for (int h = T / 2; h > 0; h /= 2) {
        __syncthreads();
        if (threadIdx.x < h) s[threadIdx.x] = fmaxf(s[threadIdx.x], s[threadIdx.x + h]);
    }
    __syncthreads();
    return s[0];
}
template <int T> __global__ void k(const float* x, float* y, int n) {
    float v = -INFINITY;
    for (int j = threadIdx.x; j < n; j += T) v = max(v, x[blockIdx.x * n + j]);
    v = block_max<T>(v);
    if (threadIdx.x == 0) y[blockIdx.x] = v;
}
