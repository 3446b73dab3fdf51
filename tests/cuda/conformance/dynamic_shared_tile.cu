// task: transpose
// verdict: ok
// launch: [{"kernel":"k","grid":["ceil_div(N,16)","ceil_div(M,16)"],"block":[16,16],"shared":"16*17*4","args":["x","y","i32:M","i32:N"]}]
extern __shared__ float unused[];
__global__ void k(const float* __restrict__ x, float* __restrict__ y, int M, int N) {
    extern __shared__ __align__(16) float tile[];
    int c = blockIdx.x * 16 + threadIdx.x, r = blockIdx.y * 16 + threadIdx.y;
    if (r < M && c < N) tile[threadIdx.y * 17 + threadIdx.x] = x[r * N + c];
    __syncthreads();
    int c2 = blockIdx.y * 16 + threadIdx.x, r2 = blockIdx.x * 16 + threadIdx.y;
    if (r2 < N && c2 < M) y[r2 * M + c2] = tile[threadIdx.x * 17 + threadIdx.y];
}
