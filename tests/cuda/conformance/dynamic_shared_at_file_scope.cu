// task: relu
// verdict: ok
// launch: [{"kernel":"k","grid":["ceil_div(N,256)"],"block":[256],"shared":1024,"args":["x","y","i32:N"]}]
extern __shared__ float s[];
__global__ void k(const float* x, float* y, int n) { int i = blockIdx.x*256+threadIdx.x; s[threadIdx.x] = i<n?x[i]:0; __syncthreads(); if (i<n) y[i] = fmaxf(s[threadIdx.x],0.f); }
