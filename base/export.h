/// Visibility and compiler attributes. Everything is hidden unless marked NM_API.
#ifndef NM_BASE_EXPORT_H
#define NM_BASE_EXPORT_H

#if defined(__GNUC__)
#define NM_API __attribute__((visibility("default")))
#define NM_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#define NM_LIKELY(x) __builtin_expect(!!(x), 1)
#define NM_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define NM_API
#define NM_PRINTF(format_index, first)
#define NM_LIKELY(x) (x)
#define NM_UNLIKELY(x) (x)
#endif

/// Compiles a hot loop for AVX2 as well as for the baseline and picks at load time. The loops are written so that both
/// give the same bits: element-wise IEEE operations, no contraction, no reassociated sums. Off under sanitizers, whose
/// run-time starts after the resolvers.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define NM_TARGET_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define NM_TARGET_CLONES
#endif

/// In front of inline functions that the kernels of a GPU call, too. What stands in them is C and C++ at once.
#if defined(__CUDACC__)
#define NM_HOST_DEVICE __host__ __device__
#else
#define NM_HOST_DEVICE
#endif

/// Before a loop: its iterations touch no memory of each other, whatever the pointers look like.
#if defined(__clang__)
#define NM_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define NM_INDEPENDENT _Pragma("GCC ivdep")
#else
#define NM_INDEPENDENT
#endif

#endif
