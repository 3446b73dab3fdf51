// task: relu
// verdict: ok
// launch: [{"kernel":"k","grid":["ceil_div(N,256)"],"block":[256],"args":["x","y","i32:N"]}]
__global__ void __maxnreg__(32) k(const float* __restrict__ x, float* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = fmaxf(x[i], float(__dp4a(0x01020304, 0, 0)));
}
