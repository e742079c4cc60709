// Multiplies two matrices of single-precision numbers, some of which are infinite, so that the
// product has NaNs; gives a hash of its bits.
#define N 48
static float a[N][N], b[N][N];
static union { float value; unsigned bits; } c[N][N];
unsigned long long run(void) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (i * 3 + j * 7) % 11 - 5;
            b[i][j] = (i * 5 + j * 2) % 13 / 4.0f - 1;
        }
    a[3][4] = 1 / (a[0][0] + 5);
    b[7][8] = -a[3][4];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) c[i][j].value = 0;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++) c[i][j].value += a[i][k] * b[k][j];
    unsigned long long hash = 14695981039346656037ull;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) hash = (hash ^ c[i][j].bits) * 1099511628211ull;
    return hash;
}
