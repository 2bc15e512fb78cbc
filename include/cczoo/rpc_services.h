/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RPC_SERVICES_H
#define CCZ_RPC_SERVICES_H
/**
 * @file rpc_services.h
 * The standard services of a gRPC server, so that stock tools work with ours: health (grpc.health.v1.Health: Check,
 * List, Watch), which load balancers and orchestrators ask, and reflection (grpc.reflection.v1 and v1alpha
 * ServerReflection), which tells tools like grpcurl the interface.
 *
 * Both are made for one server before it starts, and freed after the server; a server for which that failed can only be
 * freed. They answer whoever the guards let in (ccz_rpc_server_guard()): of "/grpc.health.v1.Health/",
 * "/grpc.reflection.v1.ServerReflection/" and "/grpc.reflection.v1alpha.ServerReflection/", or "/". Interfaces:
 * proto/health.proto, proto/reflection.proto. Reading order of the sources: health.c; desc.c, reflect.c.
 */
#include <cczoo/rpc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------ health */

enum ccz_rpc_serving {
    CCZ_RPC_SERVING_UNKNOWN = 0,
    CCZ_RPC_SERVING = 1,
    CCZ_RPC_NOT_SERVING = 2,
    CCZ_RPC_SERVICE_UNKNOWN = 3 /**< in answers only */
};
#define CCZ_RPC_HEALTH_NAME_SIZE_MAX 1024 /**< bytes of a service's name */
#define CCZ_RPC_HEALTH_LEN_MAX       1024 /**< services of one object */

/** Statuses of services. "" is the server as a whole, and serves from the beginning. When the server stops, all services
 *  are NOT_SERVING, and Watch calls end after they were told. */
struct ccz_rpc_health;
/**
 * Adds the health service to @p s. @param[out] out  freed by the caller, after @p s
 * @retval CCZ_E_ARG     rpc:health: the server runs
 * @retval CCZ_E_EXISTS  rpc:health: @p s has a health service
 * @retval CCZ_E_NOMEM   rpc:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_health_new(struct ccz_rpc_health **out,
                                               struct ccz_rpc_server *s, struct ccz_err *err);
CCZ_API void ccz_rpc_health_free(struct ccz_rpc_health *h); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_rpc_health)
/**
 * Sets the status of @p service ("package.Service"; added if it is new), and tells who watches it. Any thread, handlers
 * too. While the server stops it is remembered, and shown after ccz_rpc_health_resume().
 * @retval CCZ_E_ARG    @p status is none that can be set, or the name is too long
 * @retval CCZ_E_LIMIT  more than CCZ_RPC_HEALTH_LEN_MAX services
 * @retval CCZ_E_NOMEM
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_health_set(struct ccz_rpc_health *h, const char *service,
                                               enum ccz_rpc_serving status);
/** What a Check would say; CCZ_RPC_SERVICE_UNKNOWN where Check says NOT_FOUND. */
CCZ_API enum ccz_rpc_serving ccz_rpc_health_get(struct ccz_rpc_health *h, const char *service);
/** Shows all services as NOT_SERVING, and tells who watches: before a server stops, so that balancers send no more. Any thread. */
CCZ_API void ccz_rpc_health_suspend(struct ccz_rpc_health *h);
/** After that; and before a server that was stopped starts again. */
CCZ_API void ccz_rpc_health_resume(struct ccz_rpc_health *h);

/* -------------------------------------------------------------------------------- reflection */

#define CCZ_RPC_REFLECTION_SIZE_MAX ((size_t)16 << 20) /**< bytes of all descriptors of an object */

/**
 * Answers: the services whose methods were added to the server (not what a fallback serves); files by their name, by what
 * they declare, by the extensions they have. Knows the services of this header itself. A client that asks on while 1 MiB of
 * answers wait for it ends with RESOURCE_EXHAUSTED.
 */
struct ccz_rpc_reflection;
/** Adds the reflection service to @p s; results as of ccz_rpc_health_new(), where = rpc:reflection */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_reflection_new(struct ccz_rpc_reflection **out,
                                                   struct ccz_rpc_server *s, struct ccz_err *err);
CCZ_API void ccz_rpc_reflection_free(struct ccz_rpc_reflection *r); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_rpc_reflection)
/**
 * Adds the files of a FileDescriptorSet, as `protoc --include_imports -o FILE` writes it: imported files stand before those
 * that import them. Before the server starts. All files are added or, after an error, none; a file that
 * is known with the same content is left out.
 * @param set  copied
 * @retval CCZ_E_FORMAT     rpc:descriptor: malformed
 * @retval CCZ_E_NOT_FOUND  rpc:descriptor-import: a file imports one that is not there
 * @retval CCZ_E_EXISTS     rpc:descriptor-file, rpc:descriptor-name: known, with another content or in another file
 * @retval CCZ_E_LIMIT      rpc:descriptor-size, rpc:descriptor-depth, rpc:descriptor-names
 * @retval CCZ_E_NOMEM      rpc:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_rpc_reflection_add(struct ccz_rpc_reflection *r,
                                                   struct ccz_span set, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
