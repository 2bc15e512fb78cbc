/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_ENGINE_TF_API_H
#define CCZ_ENGINE_TF_API_H
/*
 * TensorFlow's C API as far as it is used, declared here so that the build needs no TensorFlow.
 * From tensorflow/c/{c_api,tf_tensor,tf_status,tf_buffer,tf_tstring,env}.h of TensorFlow 2.21; that
 * API is stable within major version 2.
 */
#include <stddef.h>
#include <stdint.h>

struct TF_Status;
struct TF_Graph;
struct TF_Session;
struct TF_SessionOptions;
struct TF_Operation;
struct TF_ImportGraphDefOptions;
struct TF_Tensor;
struct TF_WritableFileHandle;

struct TF_Output {
    struct TF_Operation *oper;
    int index;
};
struct TF_Buffer {
    const void *data;
    size_t length;
    void (*data_deallocator)(void *data, size_t length);
};
/* tensorflow::tstring: 24 bytes, contents reached only through the TF_String functions. */
struct TF_TString {
    uint64_t opaque[3];
};

/* clang-format off */
/* X(return type, name, parameters): one line per function, in the order of the header files. */
#define TF_FUNCTIONS(X)                                                                            \
    X(const char *, TF_Version, (void))                                                            \
    X(struct TF_Buffer *, TF_NewBuffer, (void))                                                    \
    X(struct TF_Buffer *, TF_NewBufferFromString, (const void *proto, size_t size))                \
    X(void, TF_DeleteBuffer, (struct TF_Buffer *))                                                 \
    X(struct TF_Status *, TF_NewStatus, (void))                                                    \
    X(void, TF_DeleteStatus, (struct TF_Status *))                                                 \
    X(int, TF_GetCode, (const struct TF_Status *))                                                 \
    X(const char *, TF_Message, (const struct TF_Status *))                                        \
    X(struct TF_Tensor *, TF_NewTensor,                                                            \
      (int dtype, const int64_t *dims, int num_dims, void *data, size_t size,                      \
       void (*deallocator)(void *data, size_t size, void *arg), void *arg))                        \
    X(struct TF_Tensor *, TF_AllocateTensor, (int dtype, const int64_t *dims, int num_dims, size_t size)) \
    X(void, TF_DeleteTensor, (struct TF_Tensor *))                                                 \
    X(int, TF_TensorType, (const struct TF_Tensor *))                                              \
    X(int, TF_NumDims, (const struct TF_Tensor *))                                                 \
    X(int64_t, TF_Dim, (const struct TF_Tensor *, int i))                                          \
    X(size_t, TF_TensorByteSize, (const struct TF_Tensor *))                                       \
    X(void *, TF_TensorData, (const struct TF_Tensor *))                                           \
    X(void, TF_StringInit, (struct TF_TString *))                                                  \
    X(void, TF_StringAssignView, (struct TF_TString *, const char *src, size_t size))              \
    X(const char *, TF_StringGetDataPointer, (const struct TF_TString *))                          \
    X(size_t, TF_StringGetSize, (const struct TF_TString *))                                       \
    X(struct TF_SessionOptions *, TF_NewSessionOptions, (void))                                    \
    X(void, TF_SetConfig,                                                                          \
      (struct TF_SessionOptions *, const void *proto, size_t size, struct TF_Status *))            \
    X(void, TF_DeleteSessionOptions, (struct TF_SessionOptions *))                                 \
    X(struct TF_Graph *, TF_NewGraph, (void))                                                      \
    X(void, TF_DeleteGraph, (struct TF_Graph *))                                                   \
    X(struct TF_Operation *, TF_GraphOperationByName, (struct TF_Graph *, const char *name))       \
    X(struct TF_Operation *, TF_GraphNextOperation, (struct TF_Graph *, size_t *pos))              \
    X(const char *, TF_OperationName, (struct TF_Operation *))                                     \
    X(const char *, TF_OperationOpType, (struct TF_Operation *))                                   \
    X(int, TF_OperationNumOutputs, (struct TF_Operation *))                                        \
    X(int, TF_OperationOutputType, (struct TF_Output))                                             \
    X(int, TF_OperationOutputNumConsumers, (struct TF_Output))                                     \
    X(int, TF_GraphGetTensorNumDims, (struct TF_Graph *, struct TF_Output, struct TF_Status *))    \
    X(void, TF_GraphGetTensorShape,                                                                \
      (struct TF_Graph *, struct TF_Output, int64_t *dims, int num_dims, struct TF_Status *))      \
    X(struct TF_ImportGraphDefOptions *, TF_NewImportGraphDefOptions, (void))                      \
    X(void, TF_DeleteImportGraphDefOptions, (struct TF_ImportGraphDefOptions *))                   \
    X(void, TF_GraphImportGraphDef,                                                                \
      (struct TF_Graph *, const struct TF_Buffer *graph_def,                                       \
       const struct TF_ImportGraphDefOptions *, struct TF_Status *))                               \
    X(struct TF_Session *, TF_NewSession,                                                          \
      (struct TF_Graph *, const struct TF_SessionOptions *, struct TF_Status *))                   \
    X(struct TF_Session *, TF_LoadSessionFromSavedModel,                                           \
      (const struct TF_SessionOptions *, const struct TF_Buffer *run_options, const char *dir,     \
       const char *const *tags, int num_tags, struct TF_Graph *, struct TF_Buffer *meta_graph_def, \
       struct TF_Status *))                                                                        \
    X(void, TF_CloseSession, (struct TF_Session *, struct TF_Status *))                            \
    X(void, TF_DeleteSession, (struct TF_Session *, struct TF_Status *))                           \
    X(void, TF_SessionRun,                                                                         \
      (struct TF_Session *, const struct TF_Buffer *run_options, const struct TF_Output *inputs,   \
       struct TF_Tensor *const *input_values, int num_inputs, const struct TF_Output *outputs,     \
       struct TF_Tensor **output_values, int num_outputs,                                          \
       const struct TF_Operation *const *targets, int num_targets, struct TF_Buffer *run_metadata, \
       struct TF_Status *))                                                                        \
    X(void, TF_CreateDir, (const char *name, struct TF_Status *))                                  \
    X(void, TF_DeleteDir, (const char *name, struct TF_Status *))                                  \
    X(void, TF_NewWritableFile, (const char *name, struct TF_WritableFileHandle **, struct TF_Status *)) \
    X(void, TF_AppendWritableFile,                                                                 \
      (struct TF_WritableFileHandle *, const char *data, size_t size, struct TF_Status *))         \
    X(void, TF_CloseWritableFile, (struct TF_WritableFileHandle *, struct TF_Status *))            \
    X(void, TF_DeleteFile, (const char *name, struct TF_Status *))

/* clang-format on */

/* The functions, resolved by name: tf->TF_Version(). */
struct tf_api {
#define X(ret, name, params) ret(*name) params;
    TF_FUNCTIONS(X)
#undef X
};

#endif
