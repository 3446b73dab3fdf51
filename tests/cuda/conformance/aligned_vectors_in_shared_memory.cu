// task: relu
// verdict: ok
// launch: [{"kernel":"k","grid":["ceil_div(N, 128)"],"block":[32],"shared":"1024","args":["x","y","i32:N"]}]
__global__ void k(const float* x, float* y, int n) {
    extern __shared__ float s[];
    __shared__ float one[1], copy[4];
    float mine[4];
    double* ones = (double*)(s + 128);
    int first = blockIdx.x * 128;
    for (int j = threadIdx.x; j < 128; j += 32) s[j] = first + j < n ? x[first + j] : 0.0f;
    ones[threadIdx.x] = one[0] = 1;
    __syncthreads();
    if (threadIdx.x == 0) *(float4*)copy = *(float4*)s;
    *(float4*)mine = reinterpret_cast<float4*>(s)[threadIdx.x];
    __syncthreads();
    for (int e = 0; e < 4; e++)
        if (first + 4 * threadIdx.x + e < n) y[first + 4 * threadIdx.x + e] = fmaxf(threadIdx.x ? mine[e] : copy[e], 0.0f) * (float)ones[threadIdx.x] * one[0];
}
