// The part of Wasmtime's C API (version 50) that Weft calls, as a table of functions that is filled
// when the library is opened: a program that computes nothing does not load it, and one that has no
// library still runs. Types and names are those of Wasmtime's own headers.

#ifndef WEFT_CWASMTIME_H
#define WEFT_CWASMTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wasm_config_t wasm_config_t;
typedef struct wasm_engine_t wasm_engine_t;
typedef struct wasm_valtype_t wasm_valtype_t;
typedef struct wasm_functype_t wasm_functype_t;
typedef struct wasm_trap_t wasm_trap_t;
typedef struct wasmtime_pooling_allocation_config_t wasmtime_pooling_allocation_config_t;
typedef struct wasmtime_error_t wasmtime_error_t;
typedef struct wasmtime_module_t wasmtime_module_t;
typedef struct wasmtime_linker_t wasmtime_linker_t;
typedef struct wasmtime_instance_pre_t wasmtime_instance_pre_t;
typedef struct wasmtime_store_t wasmtime_store_t;
typedef struct wasmtime_context_t wasmtime_context_t;
typedef struct wasmtime_caller_t wasmtime_caller_t;

typedef struct {
    size_t size;
    char *data;
} wasm_byte_vec_t;

typedef struct {
    size_t size;
    wasm_valtype_t **data;
} wasm_valtype_vec_t;

typedef struct {
    uint64_t store_id;
    size_t index;
} wasmtime_instance_t;

typedef struct {
    uint64_t store_id;
    void *address;
} wasmtime_func_t;

typedef struct {
    struct {
        uint64_t store_id;
        uint32_t index;
    } place;
    uint32_t index;
} wasmtime_memory_t;

typedef struct {
    uint64_t store_id;
    uint32_t indices[3];
} wasmtime_global_t;

// A value without its kind, as compiled code passes it.
typedef union {
    int32_t i32;
    int64_t i64;
    uint8_t v128[16];
} wasmtime_val_raw_t;

// A value with its kind: 0 is i32, 1 is i64. References are larger than numbers.
typedef struct {
    uint8_t kind;
    union {
        int32_t i32;
        int64_t i64;
        uint8_t v128[16];
        struct {
            uint64_t store_id;
            uint32_t indices[2];
            void *address;
        } reference;
    } of;
} wasmtime_val_t;

// What an instance exports: kind 0 is a function, 1 a global, 2 a table, 3 a memory.
typedef struct {
    uint8_t kind;
    union {
        wasmtime_func_t func;
        wasmtime_global_t global;
        wasmtime_memory_t memory;
    } of;
} wasmtime_extern_t;

typedef wasm_trap_t *(*wasmtime_func_unchecked_callback_t)(
    void *environment, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count);
typedef void (*wasmtime_finalizer_t)(void *data);

// Each line: what a function gives, its name, and what it takes.
#define WEFT_WASMTIME_FUNCTIONS(F)                                                                 \
    F(wasm_config_t *, wasm_config_new, (void))                                                    \
    F(void, wasmtime_config_wasm_threads_set, (wasm_config_t *, bool))                             \
    F(void, wasmtime_config_wasm_relaxed_simd_set, (wasm_config_t *, bool))                        \
    F(void, wasmtime_config_wasm_tail_call_set, (wasm_config_t *, bool))                           \
    F(void, wasmtime_config_wasm_memory64_set, (wasm_config_t *, bool))                            \
    F(void, wasmtime_config_wasm_multi_memory_set, (wasm_config_t *, bool))                        \
    F(void, wasmtime_config_wasm_gc_set, (wasm_config_t *, bool))                                  \
    F(void, wasmtime_config_wasm_function_references_set, (wasm_config_t *, bool))                 \
    F(void, wasmtime_config_wasm_exceptions_set, (wasm_config_t *, bool))                          \
    F(void, wasmtime_config_wasm_stack_switching_set, (wasm_config_t *, bool))                     \
    F(void, wasmtime_config_wasm_wide_arithmetic_set, (wasm_config_t *, bool))                     \
    F(void, wasmtime_config_wasm_custom_page_sizes_set, (wasm_config_t *, bool))                   \
    F(void, wasmtime_config_wasm_component_model_set, (wasm_config_t *, bool))                     \
    F(void, wasmtime_config_gc_support_set, (wasm_config_t *, bool))                               \
    F(void, wasmtime_config_concurrency_support_set, (wasm_config_t *, bool))                      \
    F(void, wasmtime_config_max_wasm_stack_set, (wasm_config_t *, size_t))                         \
    F(void, wasmtime_config_strategy_set, (wasm_config_t *, uint8_t))                              \
    F(void, wasmtime_config_parallel_compilation_set, (wasm_config_t *, bool))                     \
    F(void, wasmtime_config_cranelift_opt_level_set, (wasm_config_t *, uint8_t))                   \
    F(void, wasmtime_config_cranelift_regalloc_algorithm_set, (wasm_config_t *, uint8_t))          \
    F(void, wasmtime_config_native_unwind_info_set, (wasm_config_t *, bool))                       \
    F(void, wasmtime_config_memory_reservation_set, (wasm_config_t *, uint64_t))                   \
    F(void, wasmtime_config_memory_guard_size_set, (wasm_config_t *, uint64_t))                    \
    F(wasmtime_pooling_allocation_config_t *, wasmtime_pooling_allocation_config_new, (void))      \
    F(void, wasmtime_pooling_allocation_config_delete, (wasmtime_pooling_allocation_config_t *))   \
    F(void, wasmtime_pooling_allocation_config_total_core_instances_set,                           \
        (wasmtime_pooling_allocation_config_t *, uint32_t))                                        \
    F(void, wasmtime_pooling_allocation_config_total_memories_set,                                 \
        (wasmtime_pooling_allocation_config_t *, uint32_t))                                        \
    F(void, wasmtime_pooling_allocation_config_total_tables_set,                                   \
        (wasmtime_pooling_allocation_config_t *, uint32_t))                                        \
    F(void, wasmtime_pooling_allocation_config_max_core_instance_size_set,                         \
        (wasmtime_pooling_allocation_config_t *, size_t))                                          \
    F(void, wasmtime_pooling_allocation_config_max_tables_per_module_set,                          \
        (wasmtime_pooling_allocation_config_t *, uint32_t))                                        \
    F(void, wasmtime_pooling_allocation_config_table_elements_set,                                 \
        (wasmtime_pooling_allocation_config_t *, size_t))                                          \
    F(void, wasmtime_pooling_allocation_config_max_memory_size_set,                                \
        (wasmtime_pooling_allocation_config_t *, size_t))                                          \
    F(void, wasmtime_pooling_allocation_config_max_unused_warm_slots_set,                          \
        (wasmtime_pooling_allocation_config_t *, uint32_t))                                        \
    F(void, wasmtime_pooling_allocation_config_decommit_batch_size_set,                            \
        (wasmtime_pooling_allocation_config_t *, size_t))                                          \
    F(void, wasmtime_pooling_allocation_config_linear_memory_keep_resident_set,                    \
        (wasmtime_pooling_allocation_config_t *, size_t))                                          \
    F(void, wasmtime_pooling_allocation_config_table_keep_resident_set,                            \
        (wasmtime_pooling_allocation_config_t *, size_t))                                          \
    F(void, wasmtime_pooling_allocation_strategy_set,                                              \
        (wasm_config_t *, const wasmtime_pooling_allocation_config_t *))                           \
    F(wasm_engine_t *, wasm_engine_new_with_config, (wasm_config_t *))                             \
    F(void, wasm_engine_delete, (wasm_engine_t *))                                                 \
    F(wasm_valtype_t *, wasm_valtype_new, (uint8_t))                                               \
    F(void, wasm_valtype_vec_new, (wasm_valtype_vec_t *, size_t, wasm_valtype_t *const *))         \
    F(wasm_functype_t *, wasm_functype_new, (wasm_valtype_vec_t *, wasm_valtype_vec_t *))          \
    F(void, wasm_functype_delete, (wasm_functype_t *))                                             \
    F(void, wasm_byte_vec_delete, (wasm_byte_vec_t *))                                             \
    F(void, wasmtime_error_message, (const wasmtime_error_t *, wasm_byte_vec_t *))                 \
    F(void, wasmtime_error_delete, (wasmtime_error_t *))                                           \
    F(wasm_trap_t *, wasmtime_trap_new, (const char *, size_t))                                    \
    F(bool, wasmtime_trap_code, (const wasm_trap_t *, uint8_t *))                                  \
    F(void, wasm_trap_message, (const wasm_trap_t *, wasm_byte_vec_t *))                           \
    F(void, wasm_trap_delete, (wasm_trap_t *))                                                     \
    F(wasmtime_error_t *, wasmtime_module_new,                                                     \
        (wasm_engine_t *, const uint8_t *, size_t, wasmtime_module_t **))                          \
    F(wasmtime_error_t *, wasmtime_module_serialize, (wasmtime_module_t *, wasm_byte_vec_t *))     \
    F(wasmtime_error_t *, wasmtime_module_deserialize,                                             \
        (wasm_engine_t *, const uint8_t *, size_t, wasmtime_module_t **))                          \
    F(void, wasmtime_module_delete, (wasmtime_module_t *))                                         \
    F(wasmtime_linker_t *, wasmtime_linker_new, (wasm_engine_t *))                                 \
    F(void, wasmtime_linker_delete, (wasmtime_linker_t *))                                         \
    F(wasmtime_error_t *, wasmtime_linker_define_func_unchecked,                                   \
        (wasmtime_linker_t *, const char *, size_t, const char *, size_t,                          \
            const wasm_functype_t *, wasmtime_func_unchecked_callback_t, void *,                   \
            wasmtime_finalizer_t))                                                                 \
    F(wasmtime_error_t *, wasmtime_linker_instantiate_pre,                                         \
        (const wasmtime_linker_t *, const wasmtime_module_t *, wasmtime_instance_pre_t **))        \
    F(void, wasmtime_instance_pre_delete, (wasmtime_instance_pre_t *))                             \
    F(wasmtime_error_t *, wasmtime_instance_pre_instantiate,                                       \
        (const wasmtime_instance_pre_t *, wasmtime_context_t *, wasmtime_instance_t *,             \
            wasm_trap_t **))                                                                       \
    F(bool, wasmtime_instance_export_get,                                                          \
        (wasmtime_context_t *, const wasmtime_instance_t *, const char *, size_t,                  \
            wasmtime_extern_t *))                                                                  \
    F(wasmtime_store_t *, wasmtime_store_new,                                                      \
        (wasm_engine_t *, void *, wasmtime_finalizer_t))                                           \
    F(wasmtime_context_t *, wasmtime_store_context, (wasmtime_store_t *))                          \
    F(void, wasmtime_store_limiter,                                                                \
        (wasmtime_store_t *, int64_t, int64_t, int64_t, int64_t, int64_t))                         \
    F(void, wasmtime_store_delete, (wasmtime_store_t *))                                           \
    F(void *, wasmtime_context_get_data, (const wasmtime_context_t *))                             \
    F(wasmtime_context_t *, wasmtime_caller_context, (wasmtime_caller_t *))                        \
    F(wasmtime_error_t *, wasmtime_func_call_unchecked,                                            \
        (wasmtime_context_t *, const wasmtime_func_t *, wasmtime_val_raw_t *, size_t,              \
            wasm_trap_t **))                                                                       \
    F(uint8_t *, wasmtime_memory_data, (const wasmtime_context_t *, const wasmtime_memory_t *))    \
    F(size_t, wasmtime_memory_data_size,                                                           \
        (const wasmtime_context_t *, const wasmtime_memory_t *))                                   \
    F(void, wasmtime_global_get,                                                                   \
        (wasmtime_context_t *, const wasmtime_global_t *, wasmtime_val_t *))                       \
    F(wasmtime_error_t *, wasmtime_global_set,                                                     \
        (wasmtime_context_t *, const wasmtime_global_t *, const wasmtime_val_t *))

// The opened library.
typedef struct {
#define WEFT_FIELD(result, name, parameters) result(*name) parameters;
    WEFT_WASMTIME_FUNCTIONS(WEFT_FIELD)
#undef WEFT_FIELD
} weft_wasmtime_t;

// Opens the library at `path` and fills `functions`. Gives NULL, or what is wrong: the name of a
// function that the library lacks, or the loader's own message, which the next call overwrites.
const char *weft_wasmtime_open(const char *path, weft_wasmtime_t *functions);

// How many bytes of stack the calling thread has left; 0 if that cannot be known.
size_t weft_stack_left(void);

#endif
