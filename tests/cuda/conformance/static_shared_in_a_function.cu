// task: row_sum
// verdict: ok
// launch: [{"kernel":"k","grid":["M"],"block":[128],"args":["x","y","i32:N"]}]
__inline__ __device__ float warpReduceSum(float val) { for (int offset = warpSize / 2; offset > 0; offset /= 2) val += __shfl_down_sync(0xffffffff, val, offset); return val; }
__inline__ __device__ float blockReduceSum(float val) {
  static __shared__ float shared[32];
  int lane = threadIdx.x % warpSize, wid = threadIdx.x / warpSize;
  val = warpReduceSum(val);
  if (lane == 0) shared[wid] = val;
  __syncthreads();
  val = (threadIdx.x < blockDim.x / warpSize) ? shared[lane] : 0;
  if (wid == 0) val = warpReduceSum(val);
  return val;
}
__global__ void __launch_bounds__(128, 4) k(const float* __restrict__ x, float* __restrict__ y, int n) {
  float s = 0; for (int j = threadIdx.x; j < n; j += blockDim.x) s += x[(size_t)blockIdx.x * n + j];
  s = blockReduceSum(s); if (threadIdx.x == 0) y[blockIdx.x] = s; }
