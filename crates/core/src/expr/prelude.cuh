// Functions that printed programs call. Philox4x32-10: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
template <typename T> __device__ T ct_floor_mod(T a, T b) {
  T r = fmod(a, b);
  return r != T(0) && (r < T(0)) != (b < T(0)) ? r + b : r;
}
template <typename T> __device__ T ct_logaddexp(T a, T b) {
  if (a == b) return a + T(0.6931471805599453);
  return a != a || b != b ? a + b : (a > b ? a : b) + log1p(exp(-fabs(a - b)));
}
__device__ inline void ct_philox(const double* u, unsigned long long p, unsigned int w[4]) {
  unsigned int key[2] = {(unsigned int)u[0], (unsigned int)u[1]};
  w[0] = (unsigned int)p; w[1] = (unsigned int)(p >> 32) ^ (unsigned int)u[2]; w[2] = (unsigned int)u[3]; w[3] = 0;
  for (int round = 0; round < 10; ++round) {
    unsigned long long a = 0xD2511F53ULL * w[0], b = 0xCD9E8D57ULL * w[2];
    unsigned int t[4] = {(unsigned int)(b >> 32) ^ w[1] ^ key[0], (unsigned int)b,
                         (unsigned int)(a >> 32) ^ w[3] ^ key[1], (unsigned int)a};
    for (int k = 0; k < 4; ++k) w[k] = t[k];
    key[0] += 0x9E3779B9U; key[1] += 0xBB67AE85U;
  }
}
__device__ inline double ct_uniform(const double* u, unsigned long long i) {
  unsigned int w[4];
  ct_philox(u, i / 4, w);
  return (w[i % 4] >> 8) * (1.0 / 16777216.0);
}
__device__ inline double ct_uniform53_of(unsigned int hi, unsigned int lo) {
  return (((unsigned long long)hi << 21) | (lo >> 11)) * (1.0 / 9007199254740992.0);
}
__device__ inline double ct_uniform53(const double* u, unsigned long long i) {
  unsigned int w[4];
  ct_philox(u, i / 2, w);
  return i % 2 ? ct_uniform53_of(w[2], w[3]) : ct_uniform53_of(w[0], w[1]);
}
__device__ inline double ct_normal(const double* u, unsigned long long i) {
  unsigned int w[4];
  ct_philox(u, i / 2, w);
  double radius = sqrt(-2.0 * log(1.0 - ct_uniform53_of(w[0], w[1])));
  double angle = 6.283185307179586 * ct_uniform53_of(w[2], w[3]);
  return radius * (i % 2 ? sin(angle) : cos(angle));
}
