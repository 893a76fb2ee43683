/// The library described to other languages: what it exports, by name, with signatures, layouts and values.
///
/// A program in C includes the other headers. One that loads libnearmiss.so at run time and knows no C (Python's
/// ctypes, Julia, C#, ...) has to mirror structures and signatures, and a mirror that is out of date corrupts memory
/// without a word. So the library carries its own description: nm_abi() gives tables of types, functions and constants,
/// made by the compiler that made the library. A binding builds its structures from the table, or compares its own with
/// it, and refuses what does not fit by name. python/nearmiss/_abi.py does so; see docs/python.md.
///
/// Stable: the layout of the structures below, for as long as nm_abi_version() is NM_ABI_VERSION. Everything else may
/// change from version to version of the library: functions and fields come and go, and the tables say which there are.
/// An entry of the functions can not be out of date: a signature that differs from the header does not compile.
///
/// All of it is constant and may be read from any thread.
#ifndef NM_SCENARIOS_ABI_H
#define NM_SCENARIOS_ABI_H

#include "scenarios/store.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_ABI_VERSION 1u

/// A member of a structure.
typedef struct nm_abi_field {
    const char *name;
    /// "i8" "u8" "i16" "u16" "i32" "u32" "i64" "u64" "f32" "f64" "char"; "pointer" (to data or a function); else the
    /// name of a type of the table. An enumeration is the integer that the compiler made of it.
    const char *type;
    uint32_t offset; ///< bytes
    uint32_t size;   ///< bytes, of all elements
    uint32_t count;  ///< 1, or elements of an array
    uint32_t reserved;
} nm_abi_field;

/// A structure or an enumeration (then without fields). Structures without fields are opaque: to be copied and handed
/// over, not to be looked into. Those with fields list all of them.
typedef struct nm_abi_type {
    const char *name;
    uint32_t size, alignment; ///< bytes
    uint32_t is_enum;
    uint32_t field_count;
    const nm_abi_field *fields;
} nm_abi_type;

typedef struct nm_abi_function {
    const char *name;
    const char *result;    ///< "nm_status", as in the header
    const char *arguments; ///< "(const char *, nm_store_mode, nm_store **, nm_error *)"
    void (*address)(void); ///< to be called as what it is
} nm_abi_function;

typedef struct nm_abi_constant {
    const char *name;
    int64_t value;
} nm_abi_constant;

typedef struct nm_abi_tables {
    uint32_t version;    ///< NM_ABI_VERSION
    uint32_t size;       ///< sizeof(nm_abi_tables)
    const char *program; ///< "nearmiss 0.1.0"
    uint32_t type_count, function_count, constant_count, reserved;
    const nm_abi_type *types;
    const nm_abi_function *functions; ///< those that python/nearmiss calls, and what is near them
    const nm_abi_constant *constants;
} nm_abi_tables;

NM_API uint32_t nm_abi_version(void); ///< to be asked before anything else is believed
NM_API const nm_abi_tables *nm_abi(void);

/// nm_store_find without a callback: all hits, allocated from `arena`.
NM_API nm_status nm_store_find_all(nm_store *store, const nm_query *query, nm_arena *arena, nm_hit **hits,
                                   size_t *count, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
