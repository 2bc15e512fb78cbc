/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_PG_H
#define CCZ_KMS_PG_H
/*
 * PostgreSQL (12 or later) below the store of the KMS, so that several servers share one. Internal; in no library, for
 * programs that link module kms_pg.
 *
 * ccz_kms_state.database is a connection string of libpq ("postgresql://..." or "host=.. dbname=.."), without a password
 * in it: that belongs into a passfile, as process lists show arguments. A string that cannot be read is not repeated where
 * it may hold one. The database is one of its own; with "options=-csearch_path=NAME" a schema of its own will do.
 *
 * Durability is read back at each connection: a server with fsync or full_page_writes off is refused, and
 * synchronous_commit is at least "on". Failover to a replica keeps what was acknowledged only if replication is
 * synchronous; a replica that was behind is noticed as "kms:rolled-back" by servers that have seen more.
 *
 * Errors besides those of the store: "kms:store-connect", "kms:store-setting", "kms:database-password",
 * "kms:store-conflict", "kms:store-locked", "kms:store-lost", "kms:commit-unknown", "kms:store-privilege".
 */
struct ccz_kms_backend;
const struct ccz_kms_backend *ccz_kms_postgresql(void);
#endif
