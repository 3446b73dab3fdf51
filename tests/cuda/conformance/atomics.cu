// task: sum
// verdict: ok
// launch: [{"kernel":"zero","grid":[1],"block":[1],"args":["y"]},{"kernel":"k","grid":["ceil_div(N,128)"],"block":[128],"args":["x","y","i32:N"]}]
__global__ void zero(float* y) { y[0] = 0.0f; }
__global__ void k(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(y, x[i]);
}
