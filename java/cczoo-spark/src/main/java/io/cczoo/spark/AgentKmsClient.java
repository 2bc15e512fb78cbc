/* SPDX-License-Identifier: Apache-2.0 */
package io.cczoo.spark;

import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.crypto.KeyAccessDeniedException;
import org.apache.parquet.crypto.ParquetCryptoRuntimeException;
import org.apache.parquet.crypto.keytools.KmsClient;

/**
 * Parquet Modular Encryption with keys from an attestation server and KMS. Master keys stay with the key agent; the JVM gets the keys of
 * files, and those only if the policy of their master key accepts what the agent proves.
 *
 * <pre>
 * spark.hadoop.parquet.crypto.factory.class         org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory
 * spark.hadoop.parquet.encryption.kms.client.class  io.cczoo.spark.AgentKmsClient
 * </pre>
 *
 * Which agent is asked is said by the environment of the process (CCZ_AGENT) and by nothing else. A file carries the address of the KMS of
 * its writer, which the reader would use unless told otherwise: whoever can write files could name an agent of his own there.
 */
public final class AgentKmsClient implements KmsClient {
    /** What Parquet passes when no instance is configured. */
    private static final String DEFAULT = "DEFAULT";

    private Agent agent;

    @Override
    public void initialize(Configuration configuration, String kmsInstanceID, String kmsInstanceURL, String accessToken) {
        if (kmsInstanceURL != null && !kmsInstanceURL.isEmpty() && !kmsInstanceURL.equals(DEFAULT)) {
            throw new KeyAccessDeniedException(
                "agent:url: the file or the configuration names the KMS \"" + kmsInstanceURL.replaceAll("[^ -~]", "?")
                    + "\"; the key agent is named by " + Agent.VARIABLE + " alone");
        }
        connected(); // without an agent nothing else is tried
    }

    /** The connection, made again if it was lost: agents end those that are idle. */
    private synchronized Agent connected() {
        try {
            if (agent == null) {
                agent = Agent.ofEnvironment();
            }
            return agent;
        } catch (IOException e) {
            throw failure(e);
        }
    }

    private interface Question<T> {
        T ask(Agent agent) throws IOException;
    }

    /** Asks; on a connection that broke, once more on a new one. */
    private synchronized <T> T ask(Question<T> question) {
        boolean fresh = agent == null;
        try {
            return question.ask(connected());
        } catch (Agent.Refused e) {
            throw failure(e);
        } catch (IOException e) {
            drop();
            if (fresh) {
                throw failure(e);
            }
        }
        try {
            return question.ask(connected());
        } catch (IOException e) {
            drop();
            throw failure(e);
        }
    }

    private void drop() {
        try {
            agent.close();
        } catch (IOException e) {
            // it is gone either way
        }
        agent = null;
    }

    private static RuntimeException failure(IOException e) {
        return e instanceof Agent.Refused
            ? new KeyAccessDeniedException(e.getMessage())
            : new ParquetCryptoRuntimeException(e.getMessage(), e);
    }

    @Override
    public String wrapKey(byte[] keyBytes, String masterKeyIdentifier) {
        return ask(a -> a.wrap(masterKeyIdentifier, keyBytes));
    }

    @Override
    public byte[] unwrapKey(String wrappedKey, String masterKeyIdentifier) {
        return ask(a -> a.unwrap(masterKeyIdentifier, wrappedKey));
    }
}
