/// How the tables of abi.h are written. Private to scenarios/abi*.c.
///
///     #define S nm_vec2
///     static const nm_abi_field nm_vec2_fields[] = {V(x), V(y)};
///     #undef S
///
/// V is a number or enumeration, A an array of them, N a structure, NA an array of structures, P a pointer. What is
/// named wrongly does not compile; what is forgotten is seen when a binding rebuilds the structure: its size or an
/// offset is another, unless it lay where there would be padding anyhow (tests/scenarios/test_abi.c,
/// tests/python/test_abi.py).
#ifndef NM_SCENARIOS_ABI_PRIVATE_H
#define NM_SCENARIOS_ABI_PRIVATE_H

#include "scenarios/abi.h"

#define NM_ABI_SCALAR(x)                                                                                               \
    _Generic((x), char                                                                                                 \
             : "char", int8_t                                                                                          \
             : "i8", uint8_t                                                                                           \
             : "u8", int16_t                                                                                           \
             : "i16", uint16_t                                                                                         \
             : "u16", int32_t                                                                                          \
             : "i32", uint32_t                                                                                         \
             : "u32", int64_t                                                                                          \
             : "i64", uint64_t                                                                                         \
             : "u64", float                                                                                            \
             : "f32", double                                                                                           \
             : "f64")

#define NM_ABI_MEMBER(f) (((S *)0)->f)
#define V(f)                                                                                                           \
    { #f, NM_ABI_SCALAR(NM_ABI_MEMBER(f)), offsetof(S, f), sizeof NM_ABI_MEMBER(f), 1, 0 }
#define A(f)                                                                                                           \
    {                                                                                                                  \
#f, NM_ABI_SCALAR(NM_ABI_MEMBER(f)[0]), offsetof(S, f), sizeof NM_ABI_MEMBER(f),                               \
            sizeof NM_ABI_MEMBER(f) / sizeof NM_ABI_MEMBER(f)[0], 0                                                    \
    }
#define N(f, t)                                                                                                        \
    { #f, _Generic(NM_ABI_MEMBER(f), t : #t), offsetof(S, f), sizeof NM_ABI_MEMBER(f), 1, 0 }
#define NA(f, t)                                                                                                       \
    {                                                                                                                  \
#f,                                                                                                            \
            _Generic(NM_ABI_MEMBER(f)[0], t                                                                            \
                     : #t),                                                                                            \
            offsetof(S, f), sizeof NM_ABI_MEMBER(f), sizeof NM_ABI_MEMBER(f) / sizeof NM_ABI_MEMBER(f)[0], 0           \
    }
/// The comparison with 0 is what only pointers (and numbers) have.
#define P(f)                                                                                                           \
    { #f, "pointer", offsetof(S, f), sizeof NM_ABI_MEMBER(f) + 0 * sizeof(NM_ABI_MEMBER(f) == 0), 1, 0 }

#define NM_ABI_STRUCT(t)                                                                                               \
    { #t, sizeof(t), _Alignof(t), 0, sizeof t##_fields / sizeof *t##_fields, t##_fields }
#define NM_ABI_OPAQUE(t)                                                                                               \
    { #t, sizeof(t), _Alignof(t), 0, 0, NULL }
#define NM_ABI_ENUM(t)                                                                                                 \
    { #t, sizeof(t), _Alignof(t), 1, 0, NULL }

/// abi_types.c
#define NM_ABI_TYPES 91
extern const nm_abi_type nm_abi_types[];

#endif
