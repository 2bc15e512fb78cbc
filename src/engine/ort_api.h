/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_ENGINE_ORT_API_H
#define CCZ_ENGINE_ORT_API_H
/*
 * ONNX Runtime's C API as far as it is used, declared here so that the build needs no header of it. It is a table of function
 * pointers that only ever grows at its end, so a place in it is as stable as a name: onnxruntime_c_api.h, struct OrtApi.
 */
#include <stddef.h>
#include <stdint.h>

struct OrtStatus; /* NULL = OK */
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;
struct OrtRunOptions;
struct OrtThreadingOptions;
struct OrtMemoryInfo;
struct OrtAllocator;
struct OrtValue;
struct OrtTypeInfo;
struct OrtTensorInfo; /* OrtTensorTypeAndShapeInfo */

struct OrtApiBase {
    const void *const *(*GetApi)(uint32_t version); /* NULL if the library is older */
    const char *(*GetVersionString)(void);
};

enum {
    ORT_API_VERSION = 17, /* asked for: every function below is older */
    ORT_LOG_FATAL = 4,    /* what goes wrong comes as a status; nothing is printed */
    ORT_PARALLEL = 1,     /* ExecutionMode */
    ORT_TYPE_TENSOR = 1,  /* ONNXType */
    ORT_DEVICE_ALLOCATOR = 0,
    ORT_MEM_DEFAULT = 0,
};
/* OrtErrorCode */
enum {
    ORT_INVALID_ARGUMENT = 2,
    ORT_RUNTIME_EXCEPTION = 6,
    ORT_NOT_IMPLEMENTED = 9,
};

/* clang-format off */
/* X(place in the table, return type, name, parameters) */
#define ORT_FUNCTIONS(X)                                                                           \
    X(1, int, GetErrorCode, (const struct OrtStatus *))                                            \
    X(2, const char *, GetErrorMessage, (const struct OrtStatus *))                                \
    X(8, struct OrtStatus *, CreateSessionFromArray,                                               \
      (const struct OrtEnv *, const void *model, size_t size, const struct OrtSessionOptions *, struct OrtSession **out)) \
    X(9, struct OrtStatus *, Run,                                                                  \
      (struct OrtSession *, const struct OrtRunOptions *, const char *const *in_names, const struct OrtValue *const *in, \
       size_t in_len, const char *const *out_names, size_t out_len, struct OrtValue **out))         \
    X(10, struct OrtStatus *, CreateSessionOptions, (struct OrtSessionOptions **out))              \
    X(13, struct OrtStatus *, SetSessionExecutionMode, (struct OrtSessionOptions *, int mode))     \
    X(24, struct OrtStatus *, SetIntraOpNumThreads, (struct OrtSessionOptions *, int n))           \
    X(25, struct OrtStatus *, SetInterOpNumThreads, (struct OrtSessionOptions *, int n))           \
    X(30, struct OrtStatus *, SessionGetInputCount, (const struct OrtSession *, size_t *out))      \
    X(31, struct OrtStatus *, SessionGetOutputCount, (const struct OrtSession *, size_t *out))     \
    X(33, struct OrtStatus *, SessionGetInputTypeInfo,                                             \
      (const struct OrtSession *, size_t i, struct OrtTypeInfo **out))                             \
    X(34, struct OrtStatus *, SessionGetOutputTypeInfo,                                            \
      (const struct OrtSession *, size_t i, struct OrtTypeInfo **out))                             \
    X(36, struct OrtStatus *, SessionGetInputName,                                                 \
      (const struct OrtSession *, size_t i, struct OrtAllocator *, char **out))                    \
    X(37, struct OrtStatus *, SessionGetOutputName,                                                \
      (const struct OrtSession *, size_t i, struct OrtAllocator *, char **out))                    \
    X(39, struct OrtStatus *, CreateRunOptions, (struct OrtRunOptions **out))                      \
    X(46, struct OrtStatus *, RunOptionsSetTerminate, (struct OrtRunOptions *))                    \
    X(48, struct OrtStatus *, CreateTensorAsOrtValue,                                              \
      (struct OrtAllocator *, const int64_t *dims, size_t rank, int type, struct OrtValue **out))  \
    X(49, struct OrtStatus *, CreateTensorWithDataAsOrtValue,                                      \
      (const struct OrtMemoryInfo *, void *data, size_t size, const int64_t *dims, size_t rank, int type, \
       struct OrtValue **out))                                                                     \
    X(50, struct OrtStatus *, IsTensor, (const struct OrtValue *, int *out))                       \
    X(51, struct OrtStatus *, GetTensorMutableData, (struct OrtValue *, void **out))               \
    X(53, struct OrtStatus *, GetStringTensorDataLength, (const struct OrtValue *, size_t *out))   \
    X(54, struct OrtStatus *, GetStringTensorContent,                                              \
      (const struct OrtValue *, void *out, size_t size, size_t *offsets, size_t len))              \
    X(55, struct OrtStatus *, CastTypeInfoToTensorInfo,                                            \
      (const struct OrtTypeInfo *, const struct OrtTensorInfo **out))                              \
    X(56, struct OrtStatus *, GetOnnxTypeFromTypeInfo, (const struct OrtTypeInfo *, int *out))     \
    X(60, struct OrtStatus *, GetTensorElementType, (const struct OrtTensorInfo *, int *out))      \
    X(61, struct OrtStatus *, GetDimensionsCount, (const struct OrtTensorInfo *, size_t *out))     \
    X(62, struct OrtStatus *, GetDimensions, (const struct OrtTensorInfo *, int64_t *out, size_t len)) \
    X(65, struct OrtStatus *, GetTensorTypeAndShape, (const struct OrtValue *, struct OrtTensorInfo **out)) \
    X(69, struct OrtStatus *, CreateCpuMemoryInfo, (int allocator, int mem, struct OrtMemoryInfo **out)) \
    X(76, struct OrtStatus *, AllocatorFree, (struct OrtAllocator *, void *))                      \
    X(78, struct OrtStatus *, GetAllocatorWithDefaultOptions, (struct OrtAllocator **out))         \
    X(92, void, ReleaseEnv, (struct OrtEnv *))                                                     \
    X(93, void, ReleaseStatus, (struct OrtStatus *))                                               \
    X(94, void, ReleaseMemoryInfo, (struct OrtMemoryInfo *))                                       \
    X(95, void, ReleaseSession, (struct OrtSession *))                                             \
    X(96, void, ReleaseValue, (struct OrtValue *))                                                 \
    X(97, void, ReleaseRunOptions, (struct OrtRunOptions *))                                       \
    X(98, void, ReleaseTypeInfo, (struct OrtTypeInfo *))                                           \
    X(99, void, ReleaseTensorTypeAndShapeInfo, (struct OrtTensorInfo *))                           \
    X(100, void, ReleaseSessionOptions, (struct OrtSessionOptions *))                              \
    X(119, struct OrtStatus *, CreateEnvWithGlobalThreadPools,                                     \
      (int severity, const char *logid, const struct OrtThreadingOptions *, struct OrtEnv **out))  \
    X(120, struct OrtStatus *, DisablePerSessionThreads, (struct OrtSessionOptions *))             \
    X(121, struct OrtStatus *, CreateThreadingOptions, (struct OrtThreadingOptions **out))         \
    X(122, void, ReleaseThreadingOptions, (struct OrtThreadingOptions *))                          \
    X(130, struct OrtStatus *, AddSessionConfigEntry,                                              \
      (struct OrtSessionOptions *, const char *key, const char *value))                            \
    X(147, struct OrtStatus *, SetGlobalIntraOpNumThreads, (struct OrtThreadingOptions *, int n))  \
    X(148, struct OrtStatus *, SetGlobalInterOpNumThreads, (struct OrtThreadingOptions *, int n))  \
    X(149, struct OrtStatus *, SetGlobalSpinControl, (struct OrtThreadingOptions *, int spin))     \
    X(252, struct OrtStatus *, GetResizedStringTensorElementBuffer,                                \
      (struct OrtValue *, size_t i, size_t size, char **out))

/* clang-format on */

/* The functions, out of the table: ort->Run(). */
struct ort_api {
#define X(place, ret, name, params) ret(*name) params;
    ORT_FUNCTIONS(X)
#undef X
};

#endif
