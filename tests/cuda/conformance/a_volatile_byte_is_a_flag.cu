// task: sum
// verdict: ok
// launch: {"scratch":{"ready":"u8[1]","part":"f32[1]"},"launch":[{"kernel":"clear","grid":[1],"block":[1],"args":["ready"]},{"kernel":"k","grid":[2],"block":[1],"args":["x","part","ready","y","i32:N"]}]}
__global__ void clear(unsigned char* ready) { *ready = 0; }
// the second block, once it sees the flag, reads what the first has written; if it comes first, it does all by itself
__global__ void k(const float* x, float* part, volatile unsigned char* ready, float* y, int n) {
    float s = 0.0f;
    if (blockIdx.x == 0) {
        for (int i = 0; i < n / 2; i++) s += x[i];
        *part = s;
        __threadfence();
        *ready = 1;
        return;
    }
    bool seen = *ready;
    if (!seen) for (int i = 0; i < n / 2; i++) s += x[i];
    else s = *part;
    for (int i = n / 2; i < n; i++) s += x[i];
    y[0] = s;
}
