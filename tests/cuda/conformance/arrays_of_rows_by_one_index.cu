// task: row_sum
// verdict: ok
// launch: [{"kernel":"sums","grid":["M"],"block":[64],"shared":256,"args":["x","y","i32:N"]}]
// arrays of rows by one index, by a pointer and as vectors; pointers behind the end that are not followed; a size that the launch knows
__device__ float total(const float* from, const float* to) {
    float all = 0.0f;
    for (; from != to; from++) all += *from;
    return all;
}
__global__ void sums(const float* x, float* y, int n) {
    __shared__ __align__(16) float rows[8][8];
    extern __shared__ float more[];
    float mine[2][2];
    for (int k = 0; k < 4; k++) mine[0][k] = 0.0f;
    for (int i = threadIdx.x; i < n; i += 64) mine[0][i / 64 % 4] += x[blockIdx.x * n + i];
    rows[0][threadIdx.x] = mine[0][0] + mine[0][3];
    more[threadIdx.x] = mine[0][1] + mine[1][0];
    __syncthreads();
    float* flat = &rows[0][0];
    if (threadIdx.x < 32) flat[threadIdx.x] += flat[threadIdx.x + 32];
    __syncthreads();
    if (threadIdx.x) return;
    float4 first = reinterpret_cast<float4*>(flat)[0];
    y[blockIdx.x] = first.x + first.y + first.z + first.w + total(&flat[4], &rows[4][0]) + total(more, &more[64]);
}
